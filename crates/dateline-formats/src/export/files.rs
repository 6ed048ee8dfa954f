//! Writes records, in the order of names, to files of all formats at once: one file per kind and number of records.
//! Files are cut by the count of records alone, so that the same records give the same files, even if the export was
//! interrupted (E2, E3).

use std::{collections::BTreeMap, sync::Arc};

use dateline_proto::v1::{Kind, Removal};
use dateline_record::encoded::EncodedRecord;
use flate2::write::GzEncoder;
use object_store::buffered::BufWriter;
use prost_reflect::ReflectMessage;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt;

use super::{
    Destination, Error,
    format::{Encoder, Format, Losses, Referents, redact},
    layout::{Compression, ExportLayout},
    manifest::{FileEntry, REMOVED, collection_word},
};

/// Bytes that a file buffers before they are written.
const BUFFER_BYTES: usize = 256 * 1024;
/// Bytes that a buffer is made for: with room for most last records.
const BUFFER_CAPACITY: usize = BUFFER_BYTES + 64 * 1024;
/// Level of compression for zstd and gzip: the default of zstd.
const ZSTD_LEVEL: i32 = 3;

/// The open files of a kind: their number, and the records in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk {
    kind: Kind,
    number: u32,
    records: u64,
}

/// A set of files that is being written.
pub struct FileSet {
    to: Destination,
    layout: ExportLayout,
    chunk: Option<Chunk>,
    open: Vec<OpenFile>,
    /// The records that the next written records refer to.
    pub referents: Arc<Referents>,
    /// Complete files.
    pub done: Vec<FileEntry>,
    /// Losses of the complete files.
    pub losses: BTreeMap<Format, Losses>,
}

impl FileSet {
    /// An empty set; or the complete files of an interrupted export.
    #[must_use]
    pub fn new(
        to: Destination,
        layout: ExportLayout,
        done: Vec<FileEntry>,
        losses: BTreeMap<Format, Losses>,
    ) -> Self {
        Self {
            to,
            layout,
            chunk: None,
            open: Vec::new(),
            referents: Arc::default(),
            done,
            losses,
        }
    }

    /// True if a record of this kind begins new files; the open files have to be finished first.
    #[must_use]
    pub fn is_full_for(&self, kind: Kind) -> bool {
        self.chunk
            .is_some_and(|chunk| chunk.kind != kind || chunk.records >= self.layout.file_records)
    }

    /// Writes a record in all formats.
    ///
    /// # Errors
    /// If a format or the destination fails.
    pub async fn write(&mut self, mut record: EncodedRecord) -> Result<(), Error> {
        if self.chunk.is_none() {
            self.begin(record.kind());
        }
        if self.layout.options.metadata_only {
            let mut redacted = record.record()?.clone();
            redact(&mut redacted);
            record = EncodedRecord::from_record(redacted)?;
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
        let of_kind = collection_word(kind);
        let finished = |format: &Format| {
            let of_both = |file: &&FileEntry| file.holds == of_kind && file.format == *format;
            self.done.iter().filter(of_both).count()
        };
        // Formats without files for this kind do not count.
        let number = self.layout.formats.iter().map(finished).max();
        let number = u32::try_from(number.unwrap_or_default()).unwrap_or(u32::MAX);
        self.chunk = Some(Chunk {
            kind,
            number,
            records: 0,
        });
        for format in &self.layout.formats {
            let Some(encoder) = format.encoder(kind, &self.layout.options) else {
                continue;
            };
            let name = self.layout.file_name(of_kind, number, *format);
            let compression = self.layout.compression.for_format(*format);
            self.open.push(OpenFile::new(
                &self.to,
                name,
                *format,
                compression,
                Some(encoder),
            ));
        }
    }

    /// Finishes the open files, which then appear.
    ///
    /// # Errors
    /// If the destination fails.
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
                holds: collection_word(chunk.kind).to_owned(),
                partition: self.layout.part.0,
                bytes,
                records: chunk.records,
                sha256,
            });
        }
        Ok(())
    }

    /// Writes removals to a file of their own, shared by all formats.
    ///
    /// # Errors
    /// If the destination fails.
    pub async fn write_removals(&mut self, removals: &[Removal]) -> Result<(), Error> {
        let number = self
            .done
            .iter()
            .filter(|file| file.holds == REMOVED)
            .count();
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let name = self.layout.file_name(REMOVED, number, Format::Ndjson);
        let mut file = OpenFile::new(
            &self.to,
            name,
            Format::Ndjson,
            self.layout.compression,
            None,
        );
        for removal in removals {
            let document = removal.transcode_to_dynamic();
            serde_json::to_writer(&mut file.buffer, &document)?;
            file.buffer.push(b'\n');
            file.write_buffer(false).await?;
        }
        let (name, bytes, sha256) = file.finish().await?;
        self.done.push(FileEntry {
            name,
            format: Format::Ndjson,
            holds: REMOVED.to_owned(),
            partition: self.layout.part.0,
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
    display_name: String,
    format: Format,
    encoder: Option<Box<dyn Encoder>>,
    losses: Losses,
    buffer: Vec<u8>,
    compressor: Compressor,
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
            display_name: format!("{}/{name}", to.display_name()),
            to: to.writer(&name),
            name,
            format,
            encoder,
            losses: Losses::default(),
            buffer: Vec::with_capacity(BUFFER_CAPACITY),
            compressor: Compressor::new(compression),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    async fn write(&mut self, record: &EncodedRecord, referents: &Referents) -> Result<(), Error> {
        if let Some(encoder) = &mut self.encoder {
            let (losses, buffer) = (&mut self.losses, &mut self.buffer);
            encoder.write(record, referents, losses, buffer)?;
        }
        self.write_buffer(false).await
    }

    /// Writes the buffer to the destination if it is full, or if `is_all` is set.
    async fn write_buffer(&mut self, is_all: bool) -> Result<(), Error> {
        if self.buffer.len() < BUFFER_BYTES && !is_all {
            return Ok(());
        }
        // Made at its full size, and passed on without a copy: growing and copying cost as much as hashing.
        let capacity = if is_all { 0 } else { BUFFER_CAPACITY };
        let plain = std::mem::replace(&mut self.buffer, Vec::with_capacity(capacity));
        let compressed = self.compressor.compress(plain, is_all);
        let compressed = compressed.map_err(|source| self.failed(source))?;
        self.hash.update(&compressed);
        self.bytes += compressed.len() as u64;
        if compressed.is_empty() {
            return Ok(());
        }
        let sent = self.to.put(compressed.into()).await;
        sent.map_err(|source| self.failed(source.into()))
    }

    async fn finish(&mut self) -> Result<(String, u64, String), Error> {
        if let Some(mut encoder) = self.encoder.take() {
            encoder.finish(&mut self.buffer)?;
        }
        self.write_buffer(true).await?;
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
            what: self.display_name.clone(),
            source,
        }
    }
}

/// Compresses a stream of bytes.
enum Compressor {
    None,
    Zstd(Option<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    Gzip(Option<GzEncoder<Vec<u8>>>),
}

impl Compressor {
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

    fn compress(&mut self, plain: Vec<u8>, is_all: bool) -> std::io::Result<Vec<u8>> {
        match self {
            Self::None => Ok(plain),
            Self::Zstd(encoder) => encode_chunk(
                encoder,
                &plain,
                is_all,
                |it| it.get_mut(),
                zstd::Encoder::finish,
            ),
            Self::Gzip(encoder) => encode_chunk(
                encoder,
                &plain,
                is_all,
                |it| it.get_mut(),
                GzEncoder::finish,
            ),
        }
    }
}

/// Passes bytes through an encoder, and returns its output; for the last bytes also the end of the stream.
fn encode_chunk<E: std::io::Write>(
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
    let compressed = std::mem::take(out(&mut inner));
    *encoder = Some(inner);
    Ok(compressed)
}
