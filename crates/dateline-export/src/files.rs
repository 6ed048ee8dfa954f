//! From records in the order of names to files: of every format at once, a file per kind and so many records. Files are
//! cut by the count of records alone, so that the same records give the same files, wherever an export was cut (E2, E3).

use std::{collections::BTreeMap, sync::Arc};

use dateline_proto::v1::{Kind, Removal};
use dateline_record::encoded::Encoded;
use flate2::write::GzEncoder;
use object_store::buffered::BufWriter;
use prost_reflect::ReflectMessage;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use super::{
    Destination, Error,
    format::{Encoder, Format, Losses, Options, Referents, redact},
    manifest::{FileEntry, REMOVED, holds},
};

/// Bytes that a file collects before they are sent on.
const BUFFER_BYTES: usize = 256 * 1024;
/// Level of compression: what zstd takes itself to be best at; gzip likewise.
const ZSTD_LEVEL: i32 = 3;

/// How files are compressed. Parquet compresses its pages itself, and is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By zstd, RFC 8878.
    Zstd,
    /// By gzip, RFC 1952.
    Gzip,
}

impl Compression {
    fn of(self, format: Format) -> Self {
        if format == Format::Parquet {
            Self::None
        } else {
            self
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }
}

/// What the files of an export look like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Formats, each once.
    pub formats: Vec<Format>,
    /// How they are compressed.
    pub compression: Compression,
    /// What all formats have in common.
    pub options: Options,
    /// Records to a file, at most.
    pub file_records: u64,
    /// Which part this is, of so many.
    pub part: (u16, u16),
}

impl Shape {
    /// Returns whether a file says of other records what may change without the record that names them.
    #[must_use]
    pub fn tells_of_others(&self) -> bool {
        self.formats.iter().any(|format| !format.keeps_names())
    }

    /// Has decoded what the formats will ask for, by whoever has the time for it.
    ///
    /// # Errors
    /// When it is no record.
    pub fn prepare(&self, record: &Encoded) -> Result<(), Error> {
        if self.options.metadata_only {
            // It is encoded anew without what it quotes; nobody looks at it as it came.
            record.record()?;
            return Ok(());
        }
        for format in &self.formats {
            match format {
                Format::Protobuf => {}
                Format::Ndjson | Format::Parquet | Format::Csv => {
                    record.document()?;
                }
                Format::Ninjs | Format::FollowTheMoney | Format::SchemaOrg => {
                    record.record()?;
                }
            }
        }
        Ok(())
    }

    fn file_name(&self, holds: &str, number: u32, format: Format) -> String {
        let part = match self.part {
            (_, 0 | 1) => String::new(),
            (part, _) => format!("p{part:03}-"),
        };
        format!(
            "{holds}-{part}{number:05}.{}{}",
            format.extension(),
            self.compression.of(format).suffix()
        )
    }
}

/// Where the files of a kind have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    kind: Kind,
    number: u32,
    records: u64,
}

/// Files in the making.
pub struct Files {
    to: Destination,
    shape: Shape,
    chunk: Option<Chunk>,
    open: Vec<OpenFile>,
    /// The records that those that are written refer to.
    pub referents: Arc<Referents>,
    /// Files that are finished.
    pub done: Vec<FileEntry>,
    /// What the finished ones could not say.
    pub losses: BTreeMap<Format, Losses>,
}

impl Files {
    /// Nothing yet; or what an export that was cut had finished.
    #[must_use]
    pub fn new(
        to: Destination,
        shape: Shape,
        done: Vec<FileEntry>,
        losses: BTreeMap<Format, Losses>,
    ) -> Self {
        Self {
            to,
            shape,
            chunk: None,
            open: Vec::new(),
            referents: Arc::default(),
            done,
            losses,
        }
    }

    /// Whether a record of this kind begins new files: then those before it are to be finished first.
    #[must_use]
    pub fn is_full_for(&self, kind: Kind) -> bool {
        self.chunk
            .is_some_and(|chunk| chunk.kind != kind || chunk.records >= self.shape.file_records)
    }

    /// Writes a record to all formats.
    ///
    /// # Errors
    /// When a format or the place cannot take it.
    pub async fn write(&mut self, mut record: Encoded) -> Result<(), Error> {
        if self.chunk.is_none() {
            self.begin(record.kind());
        }
        if self.shape.options.metadata_only {
            let mut redacted = record.record()?.clone();
            redact(&mut redacted);
            record = Encoded::of(redacted)?;
        }
        let mut dangling = Losses::default();
        self.referents.count_dangling(&record, &mut dangling)?;
        for file in &mut self.open {
            if file.format.keeps_names() {
                file.losses.merge(&dangling);
            }
            file.write(&record, &self.referents).await?;
        }
        if let Some(chunk) = &mut self.chunk {
            chunk.records += 1;
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind) {
        let of_kind = holds(kind);
        let finished = |format: &Format| {
            let of_both = |file: &&FileEntry| file.holds == of_kind && file.format == *format;
            self.done.iter().filter(of_both).count()
        };
        // A format that has no files for this kind does not count.
        let number = self.shape.formats.iter().map(finished).max();
        let number = u32::try_from(number.unwrap_or_default()).unwrap_or(u32::MAX);
        self.chunk = Some(Chunk {
            kind,
            number,
            records: 0,
        });
        for format in &self.shape.formats {
            let Some(encoder) = format.encoder(kind, &self.shape.options) else {
                continue;
            };
            let name = self.shape.file_name(of_kind, number, *format);
            let compression = self.shape.compression.of(*format);
            self.open.push(OpenFile::new(
                &self.to,
                name,
                *format,
                compression,
                Some(encoder),
            ));
        }
    }

    /// Finishes the open files; they are there then.
    ///
    /// # Errors
    /// When the place cannot take them.
    pub async fn finish(&mut self) -> Result<(), Error> {
        let Some(chunk) = self.chunk.take() else {
            return Ok(());
        };
        for mut file in std::mem::take(&mut self.open) {
            let losses = self.losses.entry(file.format).or_default();
            losses.merge(&file.losses);
            let format = file.format;
            let (name, bytes, sha256) = file.finish().await?;
            self.done.push(FileEntry {
                name,
                format,
                holds: holds(chunk.kind).to_owned(),
                partition: self.shape.part.0,
                bytes,
                records: chunk.records,
                sha256,
            });
        }
        Ok(())
    }

    /// Writes what is gone to a file of its own, which every format shares.
    ///
    /// # Errors
    /// When the place cannot take it.
    pub async fn removed(&mut self, removals: &[Removal]) -> Result<(), Error> {
        let number = self
            .done
            .iter()
            .filter(|file| file.holds == REMOVED)
            .count();
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let name = self.shape.file_name(REMOVED, number, Format::Ndjson);
        let mut file = OpenFile::new(&self.to, name, Format::Ndjson, self.shape.compression, None);
        for removal in removals {
            let document = removal.transcode_to_dynamic();
            serde_json::to_writer(&mut file.buffer, &document)?;
            file.buffer.push(b'\n');
            file.send(false).await?;
        }
        let (name, bytes, sha256) = file.finish().await?;
        self.done.push(FileEntry {
            name,
            format: Format::Ndjson,
            holds: REMOVED.to_owned(),
            partition: self.shape.part.0,
            bytes,
            records: removals.len() as u64,
            sha256,
        });
        Ok(())
    }
}

/// A file that is being written.
struct OpenFile {
    name: String,
    shown: String,
    format: Format,
    encoder: Option<Box<dyn Encoder>>,
    losses: Losses,
    buffer: Vec<u8>,
    press: Press,
    hash: Sha256,
    bytes: u64,
    to: BufWriter,
}

impl OpenFile {
    fn new(
        to: &Destination,
        name: String,
        format: Format,
        compression: Compression,
        encoder: Option<Box<dyn Encoder>>,
    ) -> Self {
        Self {
            shown: format!("{}/{name}", to.shown()),
            to: to.writer(&name),
            name,
            format,
            encoder,
            losses: Losses::default(),
            buffer: Vec::new(),
            press: Press::new(compression),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    async fn write(&mut self, record: &Encoded, referents: &Referents) -> Result<(), Error> {
        if let Some(encoder) = &mut self.encoder {
            let (losses, buffer) = (&mut self.losses, &mut self.buffer);
            encoder.write(record, referents, losses, buffer)?;
        }
        self.send(false).await
    }

    /// Sends on what has been collected, if it is enough or all.
    async fn send(&mut self, is_all: bool) -> Result<(), Error> {
        if self.buffer.len() < BUFFER_BYTES && !is_all {
            return Ok(());
        }
        let plain = std::mem::take(&mut self.buffer);
        let pressed = self.press.take(plain, is_all);
        let pressed = pressed.map_err(|source| self.failed(source))?;
        self.hash.update(&pressed);
        self.bytes += pressed.len() as u64;
        let sent = self.to.write_all(&pressed).await;
        sent.map_err(|source| self.failed(source))
    }

    async fn finish(&mut self) -> Result<(String, u64, String), Error> {
        if let Some(mut encoder) = self.encoder.take() {
            encoder.finish(&mut self.buffer)?;
        }
        self.send(true).await?;
        let shut = self.to.shutdown().await;
        shut.map_err(|source| self.failed(source))?;
        let hash = std::mem::take(&mut self.hash).finalize();
        Ok((
            std::mem::take(&mut self.name),
            self.bytes,
            hex::encode(hash),
        ))
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Io {
            what: self.shown.clone(),
            source,
        }
    }
}

/// Compresses what passes.
enum Press {
    None,
    Zstd(Option<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    Gzip(Option<GzEncoder<Vec<u8>>>),
}

impl Press {
    fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::None,
            Compression::Zstd => {
                Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL).ok())
            }
            Compression::Gzip => Self::Gzip(Some(GzEncoder::new(
                Vec::new(),
                flate2::Compression::default(),
            ))),
        }
    }

    fn take(&mut self, plain: Vec<u8>, is_all: bool) -> std::io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(plain),
            Self::Zstd(encoder) => pass(
                encoder,
                &plain,
                is_all,
                |it| it.get_mut(),
                zstd::Encoder::finish,
            ),
            Self::Gzip(encoder) => pass(
                encoder,
                &plain,
                is_all,
                |it| it.get_mut(),
                GzEncoder::finish,
            ),
        }
    }
}

/// Puts bytes through an encoder, and takes what has come out; of all of them, the end too.
fn pass<E: std::io::Write>(
    encoder: &mut Option<E>,
    plain: &[u8],
    is_all: bool,
    out: impl Fn(&mut E) -> &mut Vec<u8>,
    finish: impl Fn(E) -> std::io::Result<Vec<u8>>,
) -> std::io::Result<Vec<u8>> {
    let used_up = || std::io::Error::other("the compressor is used up");
    let mut inner = encoder.take().ok_or_else(used_up)?;
    inner.write_all(plain)?;
    if is_all {
        return finish(inner);
    }
    let pressed = std::mem::take(out(&mut inner));
    *encoder = Some(inner);
    Ok(pressed)
}
