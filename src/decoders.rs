//! What the commands read from files and stdin, as functions of bytes: the doors at which fuzzing and tests knock.
//! Nothing here opens a file or asks a server.

use std::path::Path;

use anyhow::Result;
use dateline_proto::v1::{Article, Record};

use super::{
    article_text,
    desk::{Form, read_document, write_document},
    import, verify,
};

/// The records of a file for `dateline import`, each as it was read or as what is wrong with it. The form is
/// recognised by the name and by how the bytes begin; compression is taken off.
///
/// # Errors
/// What makes that nothing more can be read.
pub fn imported(name: &str, bytes: Vec<u8>) -> Result<Vec<Result<Record, String>>> {
    import::records(Path::new(name), bytes)
}

/// The record of a text that `dateline create` and `dateline edit` take: YAML or JSON.
///
/// # Errors
/// What is wrong, with its place.
pub fn document(text: &str) -> Result<Record> {
    read_document(text, None)
}

/// A record as `dateline edit` shows it, in YAML or in JSON.
///
/// # Errors
/// When it holds what cannot be written.
pub fn written(record: &Record, as_json: bool) -> Result<String> {
    let form = if as_json { Form::Json } else { Form::Yaml };
    write_document(record, form)
}

/// The article of a plain text, as `dateline create article` drafts it.
///
/// # Errors
/// What makes it no article.
pub fn article(bytes: &[u8]) -> Result<Article> {
    Ok(article_text::read(bytes, Some("en"))?)
}

/// How many records there are at the end of a stream that was recorded for `dateline verify`, and at which sequence.
///
/// # Errors
/// What is wrong, with its line.
pub fn recorded(bytes: &[u8]) -> Result<(usize, i64)> {
    let (copy, at) = verify::read(bytes, &mut |_| {})?;
    Ok((copy.len(), at))
}

#[cfg(test)]
mod tests {
    use super::recorded;

    #[test]
    fn a_recording_ends_at_a_sequence_that_there_can_be() {
        let caught_up = |at: &str| recorded(format!("{{\"caughtUp\": \"{at}\"}}\n").as_bytes());
        assert_eq!(caught_up("46").unwrap(), (0, 46));
        for none in ["-6", "9223372036854775808", "all"] {
            assert!(caught_up(none).is_err(), "{none}");
        }
        // Nothing follows the last sequence of all.
        let last = "{\"caughtUp\": \"9223372036854775807\"}\n{\"sequence\": \"1\", \"name\": \"actors/a\"}\n";
        assert_eq!(recorded(last.as_bytes()).unwrap().1, i64::MAX);
    }
}
