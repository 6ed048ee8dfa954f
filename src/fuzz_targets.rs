//! Decoders of files and stdin as functions of bytes: entry points for fuzzing and tests. None of them opens a file or
//! calls a server.

use std::path::Path;

use anyhow::Result;
use dateline_formats::import::{self, article_text};
use dateline_proto::v1::{Article, Record};

use super::{
    desk::{TextFormat, read_document, write_document},
    verify,
};

/// The records of a file for `dateline import`, each as a record or as its error. The format is detected from the name
/// and the first bytes; compressed files are decompressed.
///
/// # Errors
/// An error after which nothing more can be read.
pub fn import_records(name: &str, bytes: Vec<u8>) -> Result<Vec<Result<Record, String>>> {
    Ok(import::records(Path::new(name), bytes)?)
}

/// Reads the record in a text for `dateline create` and `dateline edit`: YAML or JSON.
///
/// # Errors
/// The error and its position.
pub fn parse_document(text: &str) -> Result<Record> {
    read_document(text, None)
}

/// Writes a record as `dateline edit` does, in YAML or in JSON.
///
/// # Errors
/// If it contains values that the format cannot represent.
pub fn document_text(record: &Record, as_json: bool) -> Result<String> {
    let form = if as_json {
        TextFormat::Json
    } else {
        TextFormat::Yaml
    };
    write_document(record, form)
}

/// Reads an article from plain text, as `dateline create article` does.
///
/// # Errors
/// The reason why it is not an article.
pub fn parse_article(bytes: &[u8]) -> Result<Article> {
    Ok(article_text::read(bytes, Some("en"))?)
}

/// Folds a stream recorded for `dateline verify`; returns its number of records and its last sequence.
///
/// # Errors
/// The error and its line.
pub fn fold_recording(bytes: &[u8]) -> Result<(usize, i64)> {
    let (replica, at) = verify::fold_recording(bytes, &mut |_| {})?;
    Ok((replica.len(), at))
}

#[cfg(test)]
mod tests {
    use super::fold_recording;

    #[test]
    fn a_recording_ends_at_a_sequence_that_there_can_be() {
        let caught_up =
            |at: &str| fold_recording(format!("{{\"caughtUp\": \"{at}\"}}\n").as_bytes());
        assert_eq!(caught_up("46").unwrap(), (0, 46));
        for none in ["-6", "9223372036854775808", "all"] {
            assert!(caught_up(none).is_err(), "{none}");
        }
        // No sequence is greater than the last possible one.
        let last = "{\"caughtUp\": \"9223372036854775807\"}\n{\"sequence\": \"1\", \"name\": \"actors/a\"}\n";
        assert_eq!(fold_recording(last.as_bytes()).unwrap().1, i64::MAX);
    }
}
