//! A file of records in any format: opens and decompresses it, and detects the format from its name and its first
//! bytes.

use std::{
    io::{BufReader, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::read::MultiGzDecoder;

use super::{
    Error,
    document::JsonDocument,
    item::ImportedRecord,
    lines::{self, Lines},
    messages::DelimitedRecords,
    ninjs::{DroppedFields, is_item, to_record},
};

/// Bytes read to detect the format.
const DETECTION_BYTES: usize = 64 * 1024;

/// Format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// Detected from the name and the first bytes.
    Auto,
    /// A `Record` per line.
    Ndjson,
    /// `Record` messages, each preceded by its length as a varint.
    Protobuf,
    /// One `Bundle`, as JSON.
    Bundle,
    /// ninjs 3 items of articles: one, a list, or one per line.
    Ninjs,
}

/// A file of records.
pub struct Source {
    reader_kind: SourceReader,
    /// Prefix for messages, `records.ndjson: `; empty for stdin.
    pub file: String,
    /// Size of the file; `None` if it is unknown.
    pub bytes: Option<u64>,
    /// Number of bytes read so far, before decompression.
    pub read: Arc<AtomicU64>,
    /// Fields of ninjs items that records cannot hold.
    losses: DroppedFields,
}

enum SourceReader {
    Lines(Lines),
    Messages(DelimitedRecords),
    Document(JsonDocument),
    Items(Lines),
}

/// Counts the bytes read.
struct CountingReader<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Source {
    /// Begins to read a file; `path` is its name, `-` for stdin.
    ///
    /// # Errors
    /// If its first bytes cannot be read, or it is a document that cannot be read.
    pub fn from_reader(
        raw: Box<dyn Read + Send>,
        path: &Path,
        format: InputFormat,
    ) -> Result<Self, Error> {
        let file = if is_stdin(path) {
            String::new()
        } else {
            format!("{}: ", path.display())
        };
        let failed = |error| Error::caused(format!("cannot read {}", path.display()), error);
        let read = Arc::new(AtomicU64::new(0));
        let counted = CountingReader {
            inner: raw,
            count: read.clone(),
        };
        let unpacked = unpack(counted).map_err(failed)?;
        let (head, bytes_of) = peek(unpacked, DETECTION_BYTES).map_err(failed)?;
        let format = match format {
            InputFormat::Auto => recognise(path, &head),
            given => given,
        };
        if format != InputFormat::Protobuf
            && matches!(head.get(..2), Some([0xff, 0xfe] | [0xfe, 0xff]))
        {
            return Err(Error::new(format!(
                "{file}is UTF-16; records are read as UTF-8"
            )));
        }
        let reader = BufReader::new(bytes_of);
        let reader_kind = match format {
            InputFormat::Protobuf => SourceReader::Messages(DelimitedRecords::new(reader)),
            InputFormat::Bundle => SourceReader::Document(JsonDocument::bundle(reader, path)?),
            InputFormat::Ninjs if is_lines_of_items(&head) => {
                SourceReader::Items(Lines::new(reader))
            }
            InputFormat::Ninjs => SourceReader::Document(JsonDocument::items(reader, path)?),
            InputFormat::Auto | InputFormat::Ndjson => SourceReader::Lines(Lines::new(reader)),
        };
        Ok(Self {
            reader_kind,
            file,
            bytes: None,
            read,
            losses: DroppedFields::default(),
        })
    }

    /// The next record or its error; `None` at the end.
    ///
    /// # Errors
    /// If nothing that follows can be read.
    pub fn next_record(&mut self) -> Result<Option<ImportedRecord>, Error> {
        let file = &self.file;
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::caused(format!("{file}cannot be read to its end"), error)
        };
        match &mut self.reader_kind {
            SourceReader::Lines(lines) => lines
                .next(lines::record)
                .map_err(|error| failed(error.into())),
            SourceReader::Items(lines) => lines
                .next(|text| to_record(&lines::json(text)?, &mut self.losses))
                .map_err(|error| failed(error.into())),
            SourceReader::Messages(messages) => {
                messages.next().map_err(|error| failed(error.into()))
            }
            SourceReader::Document(document) => Ok(document.next(&mut self.losses)),
        }
    }

    /// Notes to print at the end.
    #[must_use]
    pub fn notes(&self) -> Option<String> {
        self.losses.summary()
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The first bytes, and a reader that starts with them.
fn peek(
    mut reader: Box<dyn Read + Send>,
    most: usize,
) -> std::io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    reader.by_ref().take(most as u64).read_to_end(&mut head)?;
    let whole = Cursor::new(head.clone()).chain(reader);
    Ok((head, Box::new(whole)))
}

/// Decompresses by the first bytes, regardless of the file's name.
fn unpack(reader: impl Read + Send + 'static) -> std::io::Result<Box<dyn Read + Send>> {
    let (head, reader) = peek(Box::new(reader), 4)?;
    Ok(match head.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::stream::read::Decoder::new(reader)?),
        _ => reader,
    })
}

fn recognise(path: &Path, head: &[u8]) -> InputFormat {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if ends(&[".binpb", ".pb", ".protobuf"]) || is_delimited(head) {
        return InputFormat::Protobuf;
    }
    if text.first() == Some(&b'[') {
        return InputFormat::Ninjs;
    }
    if text.is_empty() || ends(&[".ndjson", ".jsonl"]) && text.first() == Some(&b'{') {
        return if is_item_line(text) {
            InputFormat::Ninjs
        } else {
            InputFormat::Ndjson
        };
    }
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if lines::is_record(line) {
        return InputFormat::Ndjson;
    }
    if is_item_line(text) || looks_like_item(text) {
        return InputFormat::Ninjs;
    }
    // A line longer than the bytes read is a record if it begins like one.
    if line.len() >= DETECTION_BYTES / 2 && lines::begins_like_record(line) {
        return InputFormat::Ndjson;
    }
    InputFormat::Bundle
}

/// True for a length followed by a `Record` of a known kind that has this length and begins with its name.
fn is_delimited(head: &[u8]) -> bool {
    let mut rest = head;
    let Ok(outer) = prost::decode_length_delimiter(&mut rest) else {
        return false;
    };
    let Some((0x0a | 0x12 | 0x1a | 0x22, mut rest)) = rest.split_first() else {
        return false;
    };
    let before = rest.len();
    let inner = prost::decode_length_delimiter(&mut rest).ok();
    // The length is untrusted input.
    let whole = inner.and_then(|inner| inner.checked_add(1 + before - rest.len()));
    whole == Some(outer) && rest.first() == Some(&0x0a)
}

fn is_item_line(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(line).is_ok_and(|value| is_item(&value))
}

/// True if the text begins like an item that spans several lines.
fn looks_like_item(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let has = |key: &str| text.contains(&format!("\"{key}\""));
    has("uri") && (has("headlines") || has("bodies") || has("pubStatus") || has("versionCreated"))
}

fn is_lines_of_items(head: &[u8]) -> bool {
    is_item_line(
        head.strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(head)
            .trim_ascii_start(),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost::Message;

    use super::{InputFormat, recognise};
    use dateline_generate::RecordGenerator;

    #[test]
    fn a_file_is_recognised_by_how_it_begins_and_then_by_its_name() {
        let records: Vec<_> = RecordGenerator::new(1).take(9).collect();
        let delimited: Vec<u8> = (records.iter())
            .flat_map(Message::encode_length_delimited_to_vec)
            .collect();
        let long = format!("{{\"article\": {{\"body\": \"{}", "a".repeat(70_000));
        let pretty = "{\n\n\n  \"actors\": []}";
        for (name, head, expected) in [
            ("a", delimited.as_slice(), InputFormat::Protobuf),
            ("a.json", delimited.as_slice(), InputFormat::Protobuf),
            // The largest length that can be encoded.
            (
                "a",
                b"\x7b\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
                InputFormat::Bundle,
            ),
            ("a.pb.zst", b"", InputFormat::Protobuf),
            ("a", b"", InputFormat::Ndjson),
            ("a", b"\xef\xbb\xbf", InputFormat::Ndjson),
            ("a.json", b"{\"actor\": {}}", InputFormat::Ndjson),
            ("a.ndjson.gz", b"{\"aktor\": {}}", InputFormat::Ndjson),
            ("a", long.as_bytes(), InputFormat::Ndjson),
            ("a.json", pretty.as_bytes(), InputFormat::Bundle),
            ("a", b"not json", InputFormat::Bundle),
            ("a", b" [", InputFormat::Ninjs),
            (
                "a.ndjson",
                b"{\"uri\": \"urn:x\", \"type\": \"text\"}\n",
                InputFormat::Ninjs,
            ),
            (
                "a",
                b"{\n \"uri\": \"urn:x\",\n \"headlines\": []",
                InputFormat::Ninjs,
            ),
        ] {
            let found = recognise(Path::new(name), head);
            assert_eq!(
                found,
                expected,
                "{name} {:?}",
                String::from_utf8_lossy(&head[..head.len().min(40)])
            );
        }
    }
}
