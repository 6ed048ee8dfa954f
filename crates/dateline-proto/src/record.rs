//! The envelope of a record: its kind, name and meta, and its content without meta. No other module lists all kinds.

use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage};

use crate::v1::{self, Kind, Record, RecordMeta, record::Kind as Body};

/// Runs an expression on the message inside a `record::Kind`, for any kind.
#[macro_export]
macro_rules! with_body {
    ($body:expr, $inner:ident => $result:expr) => {
        match $body {
            $crate::v1::record::Kind::Article($inner) => $result,
            $crate::v1::record::Kind::Actor($inner) => $result,
            $crate::v1::record::Kind::Relation($inner) => $result,
            $crate::v1::record::Kind::Event($inner) => $result,
        }
    };
}

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

    /// The meta, if it is set.
    #[must_use]
    pub fn meta(&self) -> Option<&RecordMeta> {
        with_body!(self, inner => inner.meta.as_ref())
    }

    /// Removes the meta; the rest is the content.
    pub fn take_meta(&mut self) -> Option<RecordMeta> {
        with_body!(self, inner => inner.meta.take())
    }

    /// Sets the meta.
    pub fn set_meta(&mut self, meta: Option<RecordMeta>) {
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
    /// If the bytes are not a message of that kind.
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

    /// Its type as facets and tables write it: `meeting`, `member_of`; `None` for kinds without types.
    #[must_use]
    pub fn type_label(&self) -> Option<String> {
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

    /// Its entries of evidence, mutable.
    pub fn evidence_mut(&mut self) -> Option<&mut Vec<v1::Evidence>> {
        match self {
            Body::Article(_) => None,
            Body::Actor(actor) => Some(&mut actor.evidence),
            Body::Relation(relation) => Some(&mut relation.evidence),
            Body::Event(event) => Some(&mut event.evidence),
        }
    }

    /// The same message without the article revisions in its evidence, which change when a record is published.
    #[must_use]
    pub fn without_pins(mut self) -> Self {
        for entry in self.evidence_mut().into_iter().flatten() {
            entry.article_revision = 0;
        }
        self
    }

    /// Its names, for finding records about the same thing; empty for articles, which are compared by their original
    /// text.
    #[must_use]
    pub fn similarity_names(&self) -> Vec<String> {
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
