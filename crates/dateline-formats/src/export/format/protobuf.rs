//! Length-delimited protobuf: each encoded `Record` after its length as a varint, as `parseDelimitedFrom` of Java and
//! `google.protobuf.proto.parse_length_prefixed` of Python read it. The bytes are those of the server, without losses.

use dateline_record::encoded::EncodedRecord;
use prost::encoding::encode_varint;

use super::{Encoder, Error, Losses, Referents};

/// Encoder of one file.
pub(super) struct Protobuf;

impl Encoder for Protobuf {
    fn write(
        &mut self,
        record: &EncodedRecord,
        _referents: &Referents,
        _losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        encode_varint(record.bytes().len() as u64, out);
        out.extend_from_slice(record.bytes());
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<(), Error> {
        Ok(())
    }
}
