//! `Record` messages one after the other, each after its length as a varint: what other languages call delimited.

use anyhow::{Context, Result};
use dateline_export::read::next_delimited;
use dateline_proto::v1::Record;
use prost::Message;

use super::{batches::Found, source::Bytes};

/// Longest message: many times what a server takes.
const MOST: u64 = 16 * 1024 * 1024;

pub(super) struct Messages {
    reader: Bytes,
    count: u64,
}

impl Messages {
    pub(super) fn new(reader: Bytes) -> Self {
        Self { reader, count: 0 }
    }

    /// The next message. What is wrong inside of one is told of it; a wrong length is the end, for nobody knows where
    /// the next one begins.
    pub(super) fn next(&mut self) -> Result<Option<Found>> {
        let place = format!("record {}", self.count + 1);
        let next = next_delimited(&mut self.reader, MOST);
        let Some(bytes) = next.with_context(|| place.clone())? else {
            return Ok(None);
        };
        self.count += 1;
        let record = Record::decode(bytes.as_slice());
        Ok(Some(Found {
            place,
            line: self.count,
            content: record
                .map(Into::into)
                .map_err(|error| format!("is no Record: {error}")),
            is_only_article: false,
        }))
    }
}
