//! The walk over a record of any kind, its checked name, and the encoding of a whole record from stored parts.

use bytes::{BufMut, Bytes, BytesMut};
use dateline_proto::{
    v1::{Kind, Record, record::Kind as Body},
    with_body,
};
use prost::encoding;

use super::{
    name::Name,
    walk::{Path, Visitor, Walk},
};

/// Field of `name` in the message of every kind.
pub(super) const NAME_FIELD: u32 = 1;
/// Field of `meta` in the message of every kind.
pub(super) const META_FIELD: u32 = 2;
/// Field of `RecordMeta.sequence`.
const SEQUENCE_FIELD: u32 = 12;

impl Walk for Body {
    /// Walks the message of the kind, with paths from its root.
    fn walk(&mut self, at: &mut Path, visitor: &mut dyn Visitor) {
        with_body!(self, inner => inner.walk(at, visitor));
    }
}

/// Returns the checked name of a record; `None` if no kind is set or the name does not belong to it.
#[must_use]
pub fn record_name(record: &Record) -> Option<Name> {
    let body = record.kind.as_ref()?;
    Name::parse(body.name()).filter(|name| name.kind() == body.kind())
}

/// Number of the field of `Record` for a kind.
pub(super) fn record_field(kind: Kind) -> u32 {
    kind as u32
}

/// Encodes a whole `Record` from stored content, stored meta (without sequence) and the sequence in the feed that is
/// read. Fields are in the order of their numbers, as prost encodes them. Nothing is decoded; meta is inserted after
/// the name.
#[must_use]
pub fn record_bytes(kind: Kind, content: &[u8], meta: &[u8], sequence: u64) -> Bytes {
    let (name, content) = content.split_at(name_len(content));
    let sequence_len = encoding::key_len(SEQUENCE_FIELD) + encoding::encoded_len_varint(sequence);
    let meta_len = meta.len() + sequence_len;
    let body_len = name.len() + delimited_len(META_FIELD, meta_len) + content.len();
    let mut out = BytesMut::with_capacity(delimited_len(record_field(kind), body_len));
    delimiter(record_field(kind), body_len, &mut out);
    out.put_slice(name);
    delimiter(META_FIELD, meta_len, &mut out);
    out.put_slice(meta);
    encoding::encode_key(SEQUENCE_FIELD, encoding::WireType::Varint, &mut out);
    encoding::encode_varint(sequence, &mut out);
    out.put_slice(content);
    out.freeze()
}

/// Bytes of the name at the start of the content; 0 if there is none.
fn name_len(content: &[u8]) -> usize {
    let mut rest = content;
    let begins = encoding::decode_key(&mut rest)
        .is_ok_and(|key| key == (NAME_FIELD, encoding::WireType::LengthDelimited));
    let length = encoding::decode_varint(&mut rest).ok();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| begins && *length <= rest.len());
    length.map_or(0, |length| content.len() - rest.len() + length)
}

/// Content of a tombstone: the name alone, for every kind.
#[must_use]
pub fn name_only(name: &str) -> Vec<u8> {
    let mut out = BytesMut::new();
    encoding::string::encode(NAME_FIELD, &name.to_owned(), &mut out);
    out.to_vec()
}

/// Key and length of a length-delimited field.
pub fn delimiter(field: u32, len: usize, out: &mut impl BufMut) {
    encoding::encode_key(field, encoding::WireType::LengthDelimited, out);
    encoding::encode_varint(len as u64, out);
}

/// Bytes of a length-delimited field of `len` bytes, including key and length.
#[must_use]
pub fn delimited_len(field: u32, len: usize) -> usize {
    encoding::key_len(field) + encoding::encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::KINDS;
    use dateline_proto::{
        DESCRIPTORS,
        v1::{self, RecordMeta},
    };
    use prost::Message;

    #[test]
    fn stored_parts_concatenate_to_the_record_that_prost_would_encode() {
        let mut actor = v1::Actor {
            name: "actors/nato".into(),
            display_name: "NATO".into(),
            ..Default::default()
        };
        let content = actor.encode_to_vec();
        let mut meta = RecordMeta {
            uid: "u".into(),
            revision: 3,
            ..Default::default()
        };
        let stored_meta = meta.encode_to_vec();
        meta.sequence = 900;
        actor.meta = Some(meta);
        let whole = record_bytes(Kind::Actor, &content, &stored_meta, 900);
        assert_eq!(whole, Record::from(Body::Actor(actor)).encode_to_vec());
    }

    #[test]
    fn every_kind_has_its_name_and_meta_where_the_envelope_expects_them() {
        let record = DESCRIPTORS
            .get_message_by_name("dateline.v1.Record")
            .unwrap();
        for kind in KINDS {
            let field = record.get_field(record_field(kind)).unwrap();
            let message = field.kind().as_message().unwrap().clone();
            assert_eq!(message.get_field(NAME_FIELD).unwrap().name(), "name");
            assert_eq!(message.get_field(META_FIELD).unwrap().name(), "meta");
            assert_eq!(format!("{kind:?}"), message.name());
        }
    }
}
