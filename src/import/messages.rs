//! Length-delimited `Record` messages: each follows its length as a varint.

use anyhow::{Context, Result};
use dateline_export::read::next_delimited;
use dateline_proto::v1::Record;
use prost::Message;

use super::{batches::Found, source::Bytes};

/// Maximum length of a message: many times the server's limit.
const MOST: u64 = 16 * 1024 * 1024;

pub(super) struct Messages {
    reader: Bytes,
    count: u64,
}

impl Messages {
    pub(super) fn new(reader: Bytes) -> Self {
        Self { reader, count: 0 }
    }

    /// The next message. An invalid message is returned as an error of its own; an invalid length ends the reading,
    /// because the next message cannot be found.
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
