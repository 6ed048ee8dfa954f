//! A file of records in any format: opens and decompresses it, and detects the format from its name and its first
//! bytes.

use std::{
    io::{BufRead, BufReader, Cursor, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;

use super::{
    Format,
    batches::Found,
    document::Document,
    lines::{self, Lines},
    messages::Messages,
    ninjs::{Losses, is_item, to_record},
};

/// Bytes read to detect the format.
const HEAD: usize = 64 * 1024;

/// Buffered input after decompression.
pub(super) type Bytes = BufReader<Box<dyn Read + Send>>;

/// A file of records.
pub(super) struct Source {
    form: Form,
    /// Prefix for messages, `records.ndjson: `; empty for stdin.
    pub file: String,
    /// Size of the file; `None` for other input.
    pub bytes: Option<u64>,
    /// Number of bytes read so far, before decompression.
    pub read: Arc<AtomicU64>,
    /// Fields of ninjs items that records cannot hold.
    losses: Losses,
}

enum Form {
    Lines(Lines),
    Messages(Messages),
    Document(Document),
    Items(Lines),
}

/// Counts the bytes read.
struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Source {
    pub(super) fn open(path: &Path, format: Format) -> Result<Self> {
        if is_stdin(path) {
            return Self::of(Box::new(std::io::stdin()), path, format);
        }
        let opened = dateline_files::open(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            bytes: opened.length,
            ..Self::of(Box::new(opened), path, format)?
        })
    }

    /// Opens any input; `path` is its name.
    pub(super) fn of(raw: Box<dyn Read + Send>, path: &Path, format: Format) -> Result<Self> {
        let file = if is_stdin(path) {
            String::new()
        } else {
            format!("{}: ", path.display())
        };
        let context = || format!("cannot read {}", path.display());
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: raw,
            count: read.clone(),
        };
        let unpacked = unpack(counted).with_context(context)?;
        let (head, bytes_of) = peek(unpacked, HEAD).with_context(context)?;
        let format = match format {
            Format::Auto => recognise(path, &head),
            told => told,
        };
        if format != Format::Protobuf && matches!(head.get(..2), Some([0xff, 0xfe] | [0xfe, 0xff]))
        {
            bail!("{file}is UTF-16; records are read as UTF-8");
        }
        let reader = BufReader::new(bytes_of);
        let form = match format {
            Format::Protobuf => Form::Messages(Messages::new(reader)),
            Format::Bundle => Form::Document(Document::bundle(reader, path)?),
            Format::Ninjs if is_lines_of_items(&head) => Form::Items(Lines::new(reader)),
            Format::Ninjs => Form::Document(Document::items(reader, path)?),
            Format::Auto | Format::Ndjson => Form::Lines(Lines::new(reader)),
        };
        Ok(Self {
            form,
            file,
            bytes: None,
            read,
            losses: Losses::default(),
        })
    }

    /// The next record or its error; `None` at the end.
    ///
    /// # Errors
    /// If nothing that follows can be read.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        let file = &self.file;
        match &mut self.form {
            Form::Lines(lines) => lines.next(lines::record),
            Form::Items(lines) => {
                lines.next(|text| to_record(&lines::json(text)?, &mut self.losses))
            }
            Form::Messages(messages) => messages.next(),
            Form::Document(document) => Ok(document.next(&mut self.losses)),
        }
        .with_context(|| format!("{file}cannot be read to its end"))
    }

    /// Notes to print at the end.
    pub(super) fn notes(&self) -> Option<String> {
        self.losses.told()
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

fn recognise(path: &Path, head: &[u8]) -> Format {
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
        return Format::Protobuf;
    }
    if text.first() == Some(&b'[') {
        return Format::Ninjs;
    }
    if text.is_empty() || ends(&[".ndjson", ".jsonl"]) && text.first() == Some(&b'{') {
        return if is_item_line(text) {
            Format::Ninjs
        } else {
            Format::Ndjson
        };
    }
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if lines::is_record(line) {
        return Format::Ndjson;
    }
    if is_item_line(text) || looks_like_item(text) {
        return Format::Ninjs;
    }
    // A line longer than the bytes read is a record if it begins like one.
    if line.len() >= HEAD / 2 && lines::begins_like_record(line) {
        return Format::Ndjson;
    }
    Format::Bundle
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

/// Reads a whole document, up to a maximum size.
///
/// # Errors
/// If it is too large, or not UTF-8.
pub(super) fn whole(mut reader: Bytes, path: &Path) -> Result<String> {
    /// Bundles and lists of items hold one article's records, or one day of a news wire.
    const MOST: u64 = 256 * 1024 * 1024;
    let mut bytes = Vec::new();
    let context = || format!("cannot read {}", path.display());
    reader
        .by_ref()
        .take(MOST)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    if !reader.fill_buf().with_context(context)?.is_empty() {
        bail!(
            "{} has more than 256 MiB in one document; write a record per line instead",
            path.display()
        );
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow::anyhow!(
            "{} is not UTF-8: byte {at} begins no character",
            path.display()
        )
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prost::Message;

    use super::recognise;
    use crate::import::Format;
    use dateline_generate::Records;

    #[test]
    fn a_file_is_recognised_by_how_it_begins_and_then_by_its_name() {
        let records: Vec<_> = Records::new(1).take(9).collect();
        let delimited: Vec<u8> = (records.iter())
            .flat_map(Message::encode_length_delimited_to_vec)
            .collect();
        let long = format!("{{\"article\": {{\"body\": \"{}", "a".repeat(70_000));
        let pretty = "{\n\n\n  \"actors\": []}";
        for (name, head, expected) in [
            ("a", delimited.as_slice(), Format::Protobuf),
            ("a.json", delimited.as_slice(), Format::Protobuf),
            // The largest length that can be encoded.
            (
                "a",
                b"\x7b\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
                Format::Bundle,
            ),
            ("a.pb.zst", b"", Format::Protobuf),
            ("a", b"", Format::Ndjson),
            ("a", b"\xef\xbb\xbf", Format::Ndjson),
            ("a.json", b"{\"actor\": {}}", Format::Ndjson),
            ("a.ndjson.gz", b"{\"aktor\": {}}", Format::Ndjson),
            ("a", long.as_bytes(), Format::Ndjson),
            ("a.json", pretty.as_bytes(), Format::Bundle),
            ("a", b"not json", Format::Bundle),
            ("a", b" [", Format::Ninjs),
            (
                "a.ndjson",
                b"{\"uri\": \"urn:x\", \"type\": \"text\"}\n",
                Format::Ninjs,
            ),
            (
                "a",
                b"{\n \"uri\": \"urn:x\",\n \"headlines\": []",
                Format::Ninjs,
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
