//! NDJSON: the canonical protobuf JSON of `Record`, one per line, as `dateline import` reads it. Nothing is
//! lost; a tombstone is a record like any other.

use prost_reflect::ReflectMessage;
use serde::Serialize;

use super::{Actors, Encoder, Error, Losses, end_line};
use crate::proto::v1::Record;

/// Encoder of one file.
pub(super) struct Ndjson;

impl Encoder for Ndjson {
    fn write(
        &mut self,
        record: &Record,
        _encoded: &[u8],
        _actors: &Actors,
        _losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let document = record.transcode_to_dynamic();
        document.serialize(&mut serde_json::Serializer::new(&mut *out))?;
        end_line(out);
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}
