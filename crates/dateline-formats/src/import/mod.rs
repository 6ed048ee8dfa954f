//! Reads records from files: NDJSON, delimited messages, Bundles, ninjs items, and articles in plain text. Opens no file
//! and calls no server: the caller passes the bytes.
//!
//! - [`source`]: a file in any format, detected and decompressed.
//! - `lines`, `messages`, `document`: the records of one format each; [`item`]: a record as read.
//! - `ninjs`: items of news agencies as drafts of articles.
//! - [`article_text`]: an article from its plain text; `html_text`: HTML as plain text.

pub mod article_text;
mod bundle;
mod document;
mod error;
mod html_text;
pub mod item;
mod lines;
mod messages;
mod ninjs;
pub mod source;

use std::path::Path;

use dateline_proto::v1::Record;

pub use self::{
    error::Error,
    item::{Content, ImportedRecord},
    source::{InputFormat, Source},
};

/// The records of a file, each as a record or as its error.
///
/// # Errors
/// An error after which nothing more can be read.
pub fn records(name: &Path, bytes: Vec<u8>) -> Result<Vec<Result<Record, String>>, Error> {
    let bytes = Box::new(std::io::Cursor::new(bytes));
    let mut source = Source::from_reader(bytes, name, InputFormat::Auto)?;
    let mut records = Vec::new();
    while let Some(found) = source.next_record()? {
        records.push(found.content.map(|content| content.record));
    }
    Ok(records)
}
