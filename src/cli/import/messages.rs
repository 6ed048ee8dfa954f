//! `Record` messages one after the other, each after its length as a varint: what other languages call delimited.

use std::io::{BufRead, Read};

use anyhow::{Result, bail};
use prost::Message;

use super::{batches::Found, source::Bytes};
use crate::proto::v1::Record;

/// Longest message: many times what a server takes.
const MOST: u64 = 16 * 1024 * 1024;
/// Bytes of the longest varint that is a length below that, and some to spare.
const LONGEST_VARINT: u32 = 5;

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
        if self.reader.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.count += 1;
        let place = format!("record {}", self.count);
        let length = self.length(&place)?;
        let mut bytes = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < length {
            bail!(
                "{place}: has {} of its {length} bytes; the file is cut, or the length is wrong",
                bytes.len()
            );
        }
        let record = Record::decode(bytes.as_slice());
        Ok(Some(Found {
            place,
            line: self.count,
            record: record.map_err(|error| format!("is no Record: {error}")),
            is_only_article: false,
        }))
    }

    fn length(&mut self, place: &str) -> Result<u64> {
        let mut length = 0;
        for position in 0..LONGEST_VARINT {
            let mut byte = [0];
            if self.reader.read(&mut byte)? == 0 {
                bail!("{place}: the file ends within its length");
            }
            length |= u64::from(byte[0] & 0x7f) << (7 * position);
            if byte[0] & 0x80 == 0 {
                if length > MOST {
                    bail!(
                        "{place}: its length is given as {length} bytes; no record is longer than {MOST}"
                    );
                }
                return Ok(length);
            }
        }
        bail!("{place}: does not begin with a length")
    }
}
