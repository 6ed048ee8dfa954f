//! NDJSON: the canonical protobuf JSON of `Record`, one per line, as `dateline import` reads it. Without losses; a
//! tombstone is a record like any other.

use dateline_record::encoded::EncodedRecord;
use serde::Serialize;

use super::{Encoder, Error, Losses, Referents, end_line};
use crate::wire;

/// Encoder of one file.
pub(super) struct Ndjson;

impl Encoder for Ndjson {
    fn write(
        &mut self,
        record: &EncodedRecord,
        _referents: &Referents,
        _losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        if !wire::json::write_record(record.bytes(), out) {
            let document = record.document()?;
            document.serialize(&mut serde_json::Serializer::new(&mut *out))?;
        }
        end_line(out);
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}
