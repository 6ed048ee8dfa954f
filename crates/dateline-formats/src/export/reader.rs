//! Reads the records of a finished export from its files, and verifies each file on the way.

use std::io::{BufRead, BufReader, Read};

use dateline_proto::v1::{Record, Removal};
use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{
    Destination, Error, Manifest,
    format::Format,
    layout::Compression,
    manifest::{FileEntry, REMOVED},
};
use crate::delimited::next_delimited;

/// Records that are buffered for the reader.
const BUFFERED_RECORDS: usize = 256;
/// Longest record in bytes: the limit of a server, with a margin.
const MAX_RECORD_BYTES: u64 = 64 * 1024 * 1024;

/// Formats from which records can be read back, in order of preference.
pub const READABLE_FORMATS: [Format; 2] = [Format::Protobuf, Format::Ndjson];

/// The messages of a file, one by one.
pub struct MessageReader<M> {
    waiting: mpsc::Receiver<Result<M, Error>>,
}

impl<M> MessageReader<M> {
    /// The next message; `None` after the last one, if the file matched the manifest.
    ///
    /// # Errors
    /// If the file differs from the manifest.
    pub async fn next(&mut self) -> Result<Option<M>, Error> {
        self.waiting.recv().await.transpose()
    }
}

/// Opens a file of records or removals.
///
/// # Errors
/// If it does not exist, or its format cannot be read back.
pub async fn open<M>(
    from: &Destination,
    entry: &FileEntry,
    compression: Compression,
) -> Result<MessageReader<M>, Error>
where
    M: Message + ReflectMessage + Default + 'static,
{
    let bytes = from.read(&entry.name).await?;
    let reader = SyncIoBridge::new(StreamReader::new(bytes));
    let (sender, waiting) = mpsc::channel(BUFFERED_RECORDS);
    let entry = entry.clone();
    tokio::task::spawn_blocking(move || {
        let outcome = read(reader, &entry, compression, &mut |message| {
            sender.blocking_send(Ok(message)).is_ok()
        });
        if let Err(what) = outcome {
            // The reader may be gone.
            drop(sender.blocking_send(Err(Error::Damaged {
                file: entry.name,
                what,
            })));
        }
    });
    Ok(MessageReader { waiting })
}

/// Verifies a file without decoding it.
///
/// # Errors
/// If it differs from the manifest.
pub async fn check(from: &Destination, entry: &FileEntry) -> Result<(), Error> {
    let bytes = from.read(&entry.name).await?;
    let reader = SyncIoBridge::new(StreamReader::new(bytes));
    let (name, entry) = (entry.name.clone(), entry.clone());
    let checked = tokio::task::spawn_blocking(move || {
        let mut hashing = HashingReader::new(reader);
        let read = std::io::copy(&mut hashing, &mut std::io::sink());
        read.map_err(|error| error.to_string())?;
        hashing.check(&entry)
    });
    let checked = checked.await.unwrap_or_else(|error| Err(error.to_string()));
    checked.map_err(|what| Error::Damaged { file: name, what })
}

/// Reads and verifies a whole file. `visit` is called with each message, and returns whether to continue.
///
/// # Errors
/// The fault, with the number of the record.
pub fn read<M>(
    reader: impl Read,
    entry: &FileEntry,
    compression: Compression,
    visit: &mut dyn FnMut(M) -> bool,
) -> Result<(), String>
where
    M: Message + ReflectMessage + Default,
{
    let mut hashing = HashingReader::new(reader);
    let count = {
        let plain: Box<dyn Read + '_> = match compression {
            Compression::None => Box::new(&mut hashing),
            Compression::Zstd => Box::new(
                zstd::stream::read::Decoder::new(&mut hashing)
                    .map_err(|error| error.to_string())?,
            ),
            Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(&mut hashing)),
        };
        let mut plain = BufReader::with_capacity(1024 * 1024, plain);
        let mut count = 0;
        loop {
            let message = match entry.format {
                Format::Protobuf => delimited(&mut plain),
                _ => read_line(&mut plain),
            };
            let message = message.map_err(|what| format!("record {}: {what}", count + 1))?;
            let Some(message) = message else { break };
            count += 1;
            if !visit(message) {
                return Ok(());
            }
        }
        count
    };
    // Bytes that the decompressor did not read belong to the file too.
    std::io::copy(&mut hashing, &mut std::io::sink()).map_err(|error| error.to_string())?;
    hashing.check(entry)?;
    if count != entry.records {
        return Err(format!(
            "holds {count} records, and the manifest says {}",
            entry.records
        ));
    }
    Ok(())
}

/// Reads a length-delimited message; `None` at the end.
fn delimited<M: Message + Default>(reader: &mut impl BufRead) -> Result<Option<M>, String> {
    let bytes = next_delimited(reader, MAX_RECORD_BYTES).map_err(|error| error.to_string())?;
    let Some(bytes) = bytes else { return Ok(None) };
    let message = M::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
    // The decoder drops unknown fields; that must not go unnoticed.
    if message.encoded_len() != bytes.len() {
        return Err(
            "holds fields that this program does not know: a newer one wrote it".to_owned(),
        );
    }
    Ok(Some(message))
}

/// Reads a message from a line of JSON; `None` at the end.
fn read_line<M: Message + ReflectMessage + Default>(
    reader: &mut impl BufRead,
) -> Result<Option<M>, String> {
    let mut text = String::new();
    let read = reader.take(MAX_RECORD_BYTES).read_line(&mut text);
    if read.map_err(|error| error.to_string())? == 0 {
        return Ok(None);
    }
    if !text.ends_with('\n') {
        return Err("the file ends inside of a line".to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(&text);
    let message = DynamicMessage::deserialize(M::default().descriptor(), &mut json);
    let message = message.map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    let message = message.transcode_to();
    message.map(Some).map_err(|error| error.to_string())
}

/// Hashes all bytes that are read through it.
struct HashingReader<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> HashingReader<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    fn check(self, entry: &FileEntry) -> Result<(), String> {
        if self.bytes != entry.bytes {
            return Err(format!(
                "has {} bytes, and the manifest says {}",
                self.bytes, entry.bytes
            ));
        }
        if hex::encode(self.hash.finalize()) != entry.sha256 {
            return Err("has another SHA-256 than the manifest says".to_owned());
        }
        Ok(())
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// The records of an export in the order of names, across its parts.
pub struct RecordReader {
    from: Destination,
    compression: Compression,
    parts: Vec<PartReader>,
}

struct PartReader {
    files: std::collections::VecDeque<FileEntry>,
    open: Option<MessageReader<Record>>,
    next: Option<(String, Record)>,
}

impl RecordReader {
    /// Opens an export.
    ///
    /// # Errors
    /// If none of its formats can be read back.
    pub async fn open(from: &Destination, manifest: &Manifest) -> Result<Self, Error> {
        Self::open_files(from, manifest, |_| true).await
    }

    /// Opens some files of an export.
    ///
    /// # Errors
    /// If none of its formats can be read back.
    pub async fn open_files(
        from: &Destination,
        manifest: &Manifest,
        wanted: impl Fn(&FileEntry) -> bool,
    ) -> Result<Self, Error> {
        let is_empty = manifest.digest.records == 0 && manifest.tombstone_records == 0;
        let format = readable_format(manifest).or(is_empty.then_some(Format::Ndjson));
        let format = format.ok_or_else(|| {
            Error::Broken(format!(
                "{} has no ndjson and no protobuf files, from which records could be read",
                from.display_name()
            ))
        })?;
        Self::read(from, manifest, format, wanted).await
    }

    /// Opens an export in one of its formats.
    ///
    /// # Errors
    /// If a file does not exist.
    pub async fn open_format(
        from: &Destination,
        manifest: &Manifest,
        format: Format,
    ) -> Result<Self, Error> {
        Self::read(from, manifest, format, |_| true).await
    }

    async fn read(
        from: &Destination,
        manifest: &Manifest,
        format: Format,
        wanted: impl Fn(&FileEntry) -> bool,
    ) -> Result<Self, Error> {
        let parts = manifest.parts(format).into_iter();
        let mut records = Self {
            from: from.clone(),
            compression: manifest.compression,
            parts: parts
                .map(|files| PartReader {
                    files: files
                        .into_iter()
                        .filter(|file| wanted(file))
                        .cloned()
                        .collect(),
                    open: None,
                    next: None,
                })
                .collect(),
        };
        for part in 0..records.parts.len() {
            records.fill(part).await?;
        }
        Ok(records)
    }

    /// Returns the next record.
    ///
    /// # Errors
    /// If a file differs from the manifest.
    pub async fn next(&mut self) -> Result<Option<Record>, Error> {
        let names = self.parts.iter().enumerate();
        let first = names
            .filter_map(|(part, reading)| Some((&reading.next.as_ref()?.0, part)))
            .min();
        let Some((_, part)) = first else {
            return Ok(None);
        };
        let record = self.parts[part].next.take().map(|(_, record)| record);
        self.fill(part).await?;
        Ok(record)
    }

    /// Reads the next record of a part.
    async fn fill(&mut self, part: usize) -> Result<(), Error> {
        let reading = &mut self.parts[part];
        loop {
            if let Some(open) = &mut reading.open {
                if let Some(record) = open.next().await? {
                    let name = record.kind.as_ref().map_or("", |body| body.name());
                    reading.next = Some((name.to_owned(), record));
                    return Ok(());
                }
                reading.open = None;
            }
            let Some(file) = reading.files.pop_front() else {
                return Ok(());
            };
            reading.open = Some(open(&self.from, &file, self.compression).await?);
        }
    }
}

/// The format from which the records of an export are read.
#[must_use]
pub fn readable_format(manifest: &Manifest) -> Option<Format> {
    let has = |format: &Format| {
        let mut files = manifest.files.iter();
        files.any(|file| file.format == *format && file.holds != REMOVED)
    };
    READABLE_FORMATS.into_iter().find(has)
}

/// Reads the removals, in the order of names.
///
/// # Errors
/// If a file differs from the manifest.
pub async fn removals(from: &Destination, manifest: &Manifest) -> Result<Vec<Removal>, Error> {
    let mut removals = Vec::new();
    for file in manifest.files.iter().filter(|file| file.holds == REMOVED) {
        let mut messages = open::<Removal>(from, file, manifest.compression).await?;
        while let Some(removal) = messages.next().await? {
            removals.push(removal);
        }
    }
    removals.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(removals)
}
