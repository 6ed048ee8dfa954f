//! NDJSON: one record per line, with bounded memory per line.

use std::io::{BufRead, Read};

use dateline_proto::v1::Record;

use super::item::{Content, ImportedRecord, InputReader};
use crate::json;

/// Maximum length of a line: many times the server's limit, in any escaping.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// Maximum number of values of a document: more than one day of a news wire has.
const MAX_VALUES: usize = 2_000_000;

/// The lines of a file, with their numbers.
pub(super) struct Lines {
    reader: InputReader,
    line: u64,
}

impl Lines {
    pub(super) fn new(reader: InputReader) -> Self {
        Self { reader, line: 0 }
    }

    /// The next nonempty line, parsed by `read`.
    pub(super) fn next(
        &mut self,
        mut read: impl FnMut(&str) -> Result<Content, String>,
    ) -> std::io::Result<Option<ImportedRecord>> {
        loop {
            let mut bytes = Vec::new();
            let most = MAX_LINE_BYTES as u64 + 1;
            self.reader
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.line += 1;
            let is_cut = bytes.last() != Some(&b'\n');
            let content = if bytes.len() > MAX_LINE_BYTES && is_cut {
                self.reader.skip_until(b'\n')?;
                Err(format!(
                    "is longer than {} MiB; no record is",
                    MAX_LINE_BYTES / 1024 / 1024
                ))
            } else {
                match std::str::from_utf8(&bytes) {
                    Ok(text) if without_mark(text).trim().is_empty() => continue,
                    Ok(text) => read(without_mark(text)).map_err(|message| {
                        let hint = if is_cut {
                            " (the file ends in this line: it may have been cut)"
                        } else {
                            ""
                        };
                        message + hint
                    }),
                    Err(error) => Err(format!(
                        "is not UTF-8: byte {} of the line begins no character",
                        error.valid_up_to() + 1
                    )),
                }
            };
            return Ok(Some(ImportedRecord {
                position: format!("line {}", self.line),
                line: self.line,
                content,
                is_only_article: false,
            }));
        }
    }
}

/// Parses a line as a record.
pub(super) fn record(line: &str) -> Result<Content, String> {
    let record: Record = json::read(line).map_err(|error| error_text(&error))?;
    Ok(record.into())
}

/// Parses a line as JSON.
pub(super) fn json(line: &str) -> Result<serde_json::Value, String> {
    whole_json(line).map_err(|error| error_text(&error))
}

/// Parses a text as JSON without duplicate keys.
pub(super) fn whole_json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    json::check_keys_of(&mut serde_json::Deserializer::from_str(text), MAX_VALUES)?;
    serde_json::from_str(text)
}

/// Formats an error: `column 2: expected value`
fn error_text(error: &serde_json::Error) -> String {
    json::in_line(error)
        .trim_start_matches([',', ':', ' '])
        .to_owned()
}

/// The line without the byte order mark that some editors write.
fn without_mark(line: &str) -> &str {
    line.trim_start_matches('\u{feff}')
}

const KINDS: [&str; 4] = ["article", "actor", "relation", "event"];

/// True for a whole JSON object with the key of a kind; false for the first line of a bundle.
pub(super) fn is_record(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line)
        .is_ok_and(|object| KINDS.iter().any(|kind| object.contains_key(*kind)))
}

/// True if the line starts with an object whose first key is a kind.
pub(super) fn begins_like_record(line: &[u8]) -> bool {
    let rest = line
        .trim_ascii_start()
        .strip_prefix(b"{")
        .unwrap_or_default()
        .trim_ascii_start();
    KINDS
        .iter()
        .any(|kind| rest.starts_with(format!("\"{kind}\"").as_bytes()))
}
