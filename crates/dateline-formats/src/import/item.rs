//! A record of a file as read, and the input that it is read from.

use std::io::{BufReader, Read};

use dateline_proto::v1::Record;
use dateline_record::release::{ItemOrigin, Release};

/// Buffered input after decompression.
pub(super) type InputReader = BufReader<Box<dyn Read + Send>>;

/// A record of a file, or its error.
#[derive(Debug)]
pub struct ImportedRecord {
    /// `line 17`; empty if records have no position of their own.
    pub position: String,
    /// The number in `position`.
    pub line: u64,
    /// The record, or the reason why it cannot be read.
    pub content: Result<Content, String>,
    /// True for the only article of a Bundle: a single original belongs to it.
    pub is_only_article: bool,
}

/// A record as read.
#[derive(Debug)]
pub struct Content {
    /// The record.
    pub record: Record,
    /// The use that the sender of an item allows.
    pub release: Release,
    /// Set for items of other publishers.
    pub origin: Option<ItemOrigin>,
}

impl From<Record> for Content {
    fn from(record: Record) -> Self {
        Self {
            record,
            release: Release::default(),
            origin: None,
        }
    }
}
