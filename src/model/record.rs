//! Behaviour of `Record`, the one envelope: which kind it is, its name and meta, its content without meta,
//! and the bytes of a whole record put together from stored parts.

use bytes::{BufMut, Bytes, BytesMut};
use prost::{Message, encoding};
use prost_reflect::{DynamicMessage, ReflectMessage};

use super::{
    name::Name,
    walk::{Path, Visitor, Walk},
};
use crate::proto::v1::{self, Kind, Record, RecordMeta, record::Kind as Body};

/// Runs an expression on the message inside a `Body`, whichever kind it is: the only place that names all
/// kinds.
macro_rules! with_body {
    ($body:expr, $inner:ident => $result:expr) => {
        match $body {
            Body::Article($inner) => $result,
            Body::Actor($inner) => $result,
            Body::Relation($inner) => $result,
            Body::Event($inner) => $result,
        }
    };
}

/// Field of `name` in the message of every kind.
pub(super) const NAME_FIELD: u32 = 1;
/// Field of `meta` in the message of every kind.
pub(super) const META_FIELD: u32 = 2;
/// Field of `RecordMeta.sequence`.
const SEQUENCE_FIELD: u32 = 12;

impl Body {
    /// The kind of this body.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Body::Article(_) => Kind::Article,
            Body::Actor(_) => Kind::Actor,
            Body::Relation(_) => Kind::Relation,
            Body::Event(_) => Kind::Event,
        }
    }

    /// The name as it was sent; not checked.
    #[must_use]
    pub fn name(&self) -> &str {
        with_body!(self, inner => &inner.name)
    }

    /// The meta, if there is any.
    #[must_use]
    pub fn meta(&self) -> Option<&RecordMeta> {
        with_body!(self, inner => inner.meta.as_ref())
    }

    /// Takes the meta out: what remains is the content.
    pub fn take_meta(&mut self) -> Option<RecordMeta> {
        with_body!(self, inner => inner.meta.take())
    }

    /// Puts meta where there was none.
    pub fn put_meta(&mut self, meta: Option<RecordMeta>) {
        with_body!(self, inner => inner.meta = meta);
    }

    /// The encoded message; without meta this is the content that is stored.
    #[must_use]
    pub fn to_content(&self) -> Vec<u8> {
        with_body!(self, inner => inner.encode_to_vec())
    }

    /// Decodes stored content of a kind; `None` for the unspecified kind.
    ///
    /// # Errors
    /// When the bytes are not a message of that kind.
    pub fn decode(kind: Kind, content: &[u8]) -> Result<Option<Self>, prost::DecodeError> {
        Ok(match kind {
            Kind::Unspecified => None,
            Kind::Article => Some(Body::Article(v1::Article::decode(content)?)),
            Kind::Actor => Some(Body::Actor(v1::Actor::decode(content)?)),
            Kind::Relation => Some(Body::Relation(v1::Relation::decode(content)?)),
            Kind::Event => Some(Body::Event(v1::Event::decode(content)?)),
        })
    }

    /// The same message with access to fields by name.
    #[must_use]
    pub fn to_dynamic(&self) -> DynamicMessage {
        with_body!(self, inner => inner.transcode_to_dynamic())
    }

    /// Its type, as facets and tables write it: `meeting`, `member_of`; `None` for kinds without types.
    #[must_use]
    pub fn type_word(&self) -> Option<String> {
        let name = match self {
            Body::Article(_) => return None,
            Body::Actor(actor) => actor.r#type().as_str_name(),
            Body::Relation(relation) => relation.r#type().as_str_name(),
            Body::Event(event) => event.r#type().as_str_name(),
        };
        Some(name.trim_start_matches("TYPE_").to_ascii_lowercase())
    }

    /// Its entries of evidence; `None` for kinds that are sources themselves.
    #[must_use]
    pub fn evidence(&self) -> Option<&[v1::Evidence]> {
        match self {
            Body::Article(_) => None,
            Body::Actor(actor) => Some(&actor.evidence),
            Body::Relation(relation) => Some(&relation.evidence),
            Body::Event(event) => Some(&event.evidence),
        }
    }

    /// The same, to change them.
    pub fn evidence_mut(&mut self) -> Option<&mut Vec<v1::Evidence>> {
        match self {
            Body::Article(_) => None,
            Body::Actor(actor) => Some(&mut actor.evidence),
            Body::Relation(relation) => Some(&mut relation.evidence),
            Body::Event(event) => Some(&mut event.evidence),
        }
    }

    /// The same with evidence that cites articles, and not their revisions: those move when a record is published.
    #[must_use]
    pub fn without_pins(mut self) -> Self {
        for entry in self.evidence_mut().into_iter().flatten() {
            entry.article_revision = 0;
        }
        self
    }

    /// What it is called, for finding another record that is about the same; nothing for articles, whose
    /// original text tells it better.
    #[must_use]
    pub fn called(&self) -> Vec<String> {
        use v1::name::Type;
        match self {
            Body::Article(_) => Vec::new(),
            Body::Actor(actor) => {
                let identifying = [Type::Full, Type::Short, Type::Acronym, Type::Former];
                let names = actor.names.iter();
                let names = names.filter(|name| identifying.contains(&name.r#type()));
                let mut called: Vec<_> = names.map(|name| name.text.clone()).collect();
                called.push(actor.display_name.clone());
                called
            }
            Body::Relation(tie) => {
                vec![format!("{} {} {}", tie.subject, tie.object, tie.role_title)]
            }
            Body::Event(event) => vec![event.display_name.clone()],
        }
    }

    /// Walks the message of the kind, with paths from its root.
    pub fn walk(&mut self, at: &mut Path, visitor: &mut dyn Visitor) {
        with_body!(self, inner => inner.walk(at, visitor));
    }
}

impl Record {
    /// The checked name; `None` if there is no kind set or the name does not belong to it.
    #[must_use]
    pub fn record_name(&self) -> Option<Name> {
        let body = self.kind.as_ref()?;
        Name::parse(body.name()).filter(|name| name.kind() == body.kind())
    }
}

impl From<Body> for Record {
    fn from(body: Body) -> Self {
        Record { kind: Some(body) }
    }
}

impl From<v1::Bundle> for Vec<Record> {
    fn from(bundle: v1::Bundle) -> Self {
        let articles = bundle.articles.into_iter().map(Body::Article);
        let actors = bundle.actors.into_iter().map(Body::Actor);
        let relations = bundle.relations.into_iter().map(Body::Relation);
        let events = bundle.events.into_iter().map(Body::Event);
        articles
            .chain(actors)
            .chain(relations)
            .chain(events)
            .map(Record::from)
            .collect()
    }
}

/// The field of `Record` in which a kind stands.
pub(super) fn record_field(kind: Kind) -> u32 {
    kind as u32
}

/// A whole encoded `Record`, from stored content, stored meta (without sequence) and the sequence in the
/// feed that is read: fields in the order of their numbers, as prost encodes them. Nothing is decoded; meta goes behind
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

/// Bytes of the name with which content begins; 0 if it does not.
fn name_len(content: &[u8]) -> usize {
    let mut rest = content;
    let begins = encoding::decode_key(&mut rest)
        .is_ok_and(|key| key == (NAME_FIELD, encoding::WireType::LengthDelimited));
    let length = encoding::decode_varint(&mut rest).ok();
    let length = length.and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| begins && *length <= rest.len());
    length.map_or(0, |length| content.len() - rest.len() + length)
}

/// Content of a tombstone: the name alone, the same for every kind.
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

/// Bytes that a length-delimited field of `len` bytes takes, with key and length.
#[must_use]
pub fn delimited_len(field: u32, len: usize) -> usize {
    encoding::key_len(field) + encoding::encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::name::KINDS, proto::DESCRIPTORS};

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
