//! Length-delimited `Record` messages: each follows its length as a varint.

use dateline_proto::v1::Record;
use prost::Message;

use super::{
    Error,
    item::{ImportedRecord, InputReader},
};
use crate::delimited::next_delimited;

/// Maximum length of a message: many times the server's limit.
const MAX_RECORD_BYTES: u64 = 16 * 1024 * 1024;

pub(super) struct DelimitedRecords {
    reader: InputReader,
    count: u64,
}

impl DelimitedRecords {
    pub(super) fn new(reader: InputReader) -> Self {
        Self { reader, count: 0 }
    }

    /// The next message. An invalid message is returned as an error of its own; an invalid length ends the reading,
    /// because the next message cannot be found.
    pub(super) fn next(&mut self) -> Result<Option<ImportedRecord>, Error> {
        let position = format!("record {}", self.count + 1);
        let next = next_delimited(&mut self.reader, MAX_RECORD_BYTES);
        let Some(bytes) = next.map_err(|error| Error::caused(position.clone(), error))? else {
            return Ok(None);
        };
        self.count += 1;
        let record = Record::decode(bytes.as_slice());
        Ok(Some(ImportedRecord {
            position,
            line: self.count,
            content: record
                .map(Into::into)
                .map_err(|error| format!("is no Record: {error}")),
            is_only_article: false,
        }))
    }
}
