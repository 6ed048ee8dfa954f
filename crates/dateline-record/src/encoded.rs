//! An encoded record in transit: name, kind, state and revision are read at once, the rest is decoded on demand, and
//! the bytes are passed on unchanged.

use std::sync::OnceLock;

use bytes::Bytes;
use dateline_proto::v1::{Kind, Record, RecordMeta, State, record::Kind as Body};
use prost::{DecodeError, Message, encoding};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

use super::{
    digest::{LANES, record_lanes},
    record::{META_FIELD, NAME_FIELD, record_field},
};
use crate::{revision::Revision, state::is_tombstone};

/// The reason why bytes are not a record.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InvalidRecord {
    /// The bytes have no message of a kind, or more than one.
    #[error("a record of no kind")]
    MissingKind,
    /// The bytes cannot be decoded.
    #[error("a record that cannot be decoded: {0}")]
    Undecodable(#[from] DecodeError),
}

/// The bytes of a `Record`, with its name, kind, state and revision.
#[derive(Debug, Clone)]
pub struct EncodedRecord {
    bytes: Bytes,
    kind: Kind,
    name: String,
    state: State,
    revision: Revision,
    content: Vec<std::ops::Range<usize>>,
    record: OnceLock<Box<Record>>,
    document: OnceLock<Box<DynamicMessage>>,
}

impl EncodedRecord {
    /// Reads the name, kind and meta of a record.
    ///
    /// # Errors
    /// If the bytes are not a record. Most fields are not decoded here, so errors inside of them are found later.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, InvalidRecord> {
        let mut rest: &[u8] = &bytes;
        let (field, wire_type) =
            encoding::decode_key(&mut rest).map_err(|_| InvalidRecord::MissingKind)?;
        let kind = kind_of(field).filter(|_| wire_type == encoding::WireType::LengthDelimited);
        let kind = kind.ok_or(InvalidRecord::MissingKind)?;
        let length = encoding::decode_varint(&mut rest)?;
        if length != rest.len() as u64 {
            return Err(InvalidRecord::MissingKind);
        }
        let (mut name, mut meta, mut content) = (String::new(), RecordMeta::default(), Vec::new());
        let mut start = bytes.len() - rest.len();
        while !rest.is_empty() {
            let before = bytes.len() - rest.len();
            let (field, wire_type) = encoding::decode_key(&mut rest)?;
            let context = encoding::DecodeContext::default();
            match field {
                NAME_FIELD => encoding::string::merge(wire_type, &mut name, &mut rest, context)?,
                META_FIELD => {
                    encoding::message::merge(wire_type, &mut meta, &mut rest, context)?;
                    content.push(start..before);
                    start = bytes.len() - rest.len();
                }
                _ => encoding::skip_field(wire_type, field, &mut rest, context)?,
            }
        }
        content.push(start..bytes.len());
        Ok(Self {
            bytes,
            kind,
            name,
            state: meta.state(),
            revision: Revision::new(meta.revision),
            content,
            record: OnceLock::new(),
            document: OnceLock::new(),
        })
    }

    /// Encodes a record.
    ///
    /// # Errors
    /// If its kind is not set.
    pub fn from_record(record: Record) -> Result<Self, InvalidRecord> {
        let encoded = Self::from_bytes(record.encode_to_vec().into())?;
        Ok(Self {
            record: Box::new(record).into(),
            ..encoded
        })
    }

    /// The bytes as they were received.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The kind of the record.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The name as it was sent; not checked.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The state of the record.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// True if it is the tombstone of a retracted or merged record.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        is_tombstone(self.state())
    }

    /// The content without meta, in consecutive pieces; concatenated they are the stored content.
    pub fn content(&self) -> impl Iterator<Item = &[u8]> {
        self.content.iter().map(|piece| &self.bytes[piece.clone()])
    }

    /// The words that it adds to a digest (F11).
    #[must_use]
    pub fn digest_lanes(&self) -> [u32; LANES] {
        record_lanes(self.revision, self.content())
    }

    /// The decoded record.
    ///
    /// # Errors
    /// If the bytes cannot be decoded.
    pub fn record(&self) -> Result<&Record, InvalidRecord> {
        known(&self.record, || Ok(Record::decode(self.bytes.clone())?))
    }

    /// The decoded message of its kind.
    ///
    /// # Errors
    /// Those of [`Self::record`].
    pub fn body(&self) -> Result<&Body, InvalidRecord> {
        self.record()?
            .kind
            .as_ref()
            .ok_or(InvalidRecord::MissingKind)
    }

    /// The record with access to fields by name.
    ///
    /// # Errors
    /// Those of [`Self::record`].
    pub fn document(&self) -> Result<&DynamicMessage, InvalidRecord> {
        known(&self.document, || {
            let descriptor = Record::default().descriptor();
            Ok(DynamicMessage::decode(descriptor, self.bytes.clone())?)
        })
    }

    /// The message of its kind with access to fields by name.
    ///
    /// # Errors
    /// Those of [`Self::record`].
    pub fn body_document(&self) -> Result<&DynamicMessage, InvalidRecord> {
        let mut fields = self.document()?.fields();
        let body = fields.find_map(|(_, value)| match value {
            Value::Message(body) => Some(body),
            _ => None,
        });
        body.ok_or(InvalidRecord::MissingKind)
    }
}

fn known<T>(
    kept: &OnceLock<Box<T>>,
    decode: impl FnOnce() -> Result<T, InvalidRecord>,
) -> Result<&T, InvalidRecord> {
    if let Some(known) = kept.get() {
        return Ok(known);
    }
    let decoded = Box::new(decode()?);
    Ok(kept.get_or_init(|| decoded))
}

fn kind_of(field: u32) -> Option<Kind> {
    let kind = Kind::try_from(field.cast_signed()).ok()?;
    (kind != Kind::Unspecified && record_field(kind) == field).then_some(kind)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::{
        name::KINDS,
        record::{delimiter, name_only, record_bytes},
    };
    use dateline_proto::v1;

    fn content_of(record: &EncodedRecord) -> Vec<u8> {
        record.content().collect::<Vec<_>>().concat()
    }

    #[test]
    fn f11_the_content_of_an_encoded_record_is_what_it_was_put_together_from() {
        let meta = RecordMeta {
            revision: 3,
            ..Default::default()
        };
        for kind in KINDS {
            for extra in [None, Some("more")] {
                let mut content = name_only("actors/nato");
                if let Some(extra) = extra {
                    encoding::string::encode(4, &extra.to_owned(), &mut content);
                }
                let stored = record_bytes(kind, &content, &meta.encode_to_vec(), 9);
                let stored = EncodedRecord::from_bytes(stored).unwrap();
                assert_eq!(content_of(&stored), content);
                assert_eq!((stored.kind(), stored.name()), (kind, "actors/nato"));
                assert_eq!(
                    stored.digest_lanes(),
                    record_lanes(Revision::new(3), [content.as_slice()].into_iter())
                );
            }
        }
        // Decoded and encoded again, it is the same.
        let mut body = Body::Actor(v1::Actor {
            name: "actors/nato".into(),
            display_name: "NATO".into(),
            meta: Some(meta),
            ..Default::default()
        });
        let encoded = Record::from(body.clone()).encode_to_vec();
        body.take_meta();
        let encoded = EncodedRecord::from_bytes(encoded.into()).unwrap();
        assert_eq!(content_of(&encoded), body.to_content());
        // Meta at any position and split, as another protobuf implementation may encode it.
        let (kind, meta) = (
            Kind::Actor,
            RecordMeta {
                revision: 3,
                ..Default::default()
            },
        );
        let (mut other, mut inner) = (BytesMut::new(), BytesMut::new());
        encoding::string::encode(4, &"NATO".to_owned(), &mut inner);
        encoding::message::encode(META_FIELD, &meta, &mut inner);
        encoding::string::encode(NAME_FIELD, &"actors/nato".to_owned(), &mut inner);
        encoding::message::encode(
            META_FIELD,
            &RecordMeta {
                state: State::Published.into(),
                ..Default::default()
            },
            &mut inner,
        );
        delimiter(record_field(kind), inner.len(), &mut other);
        other.extend_from_slice(&inner);
        let other = EncodedRecord::from_bytes(other.freeze()).unwrap();
        assert_eq!(
            (other.name(), other.revision, other.state()),
            ("actors/nato", Revision::new(3), State::Published)
        );
        assert_eq!(content_of(&other).len(), 6 + 13);
    }

    #[test]
    fn what_is_no_record_is_told() {
        for bytes in [
            &b""[..],
            b"\x0a\x05\x12\x7f",
            b"\x0a\x00\x0a\x00",
            b"\x7a\x00",
            b"\x08\x01",
        ] {
            assert!(
                EncodedRecord::from_bytes(Bytes::copy_from_slice(bytes)).is_err(),
                "{bytes:?}"
            );
        }
        assert!(EncodedRecord::from_record(Record::default()).is_err());
        // `read` has not decoded the inner message.
        let hollow =
            EncodedRecord::from_bytes(Bytes::from_static(b"\x0a\x04\x1a\x02\xff\xff")).unwrap();
        assert!(
            hollow.record().is_err()
                && hollow.document().is_err()
                && hollow.body_document().is_err()
        );
    }
}
