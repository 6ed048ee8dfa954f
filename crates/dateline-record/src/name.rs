//! Names of records: `events/steppe-eagle`. A name is chosen at creation, never changes and is never reused (W10).

use std::{borrow::Borrow, fmt};

use dateline_proto::v1::Kind;

/// Longest id after the slash, in bytes.
const MAX_ID_BYTES: usize = 63;

/// Rules for the id of a name, for error texts.
pub const PATTERN_DESCRIPTION: &str = "1 to 63 lower-case letters a-z, digits and hyphens after the slash, \
                                    beginning with a letter and not ending with a hyphen";

/// The name of a record, known to be valid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// Parses a name; `None` if it is not `collection/id` of a known kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (collection, id) = text.split_once('/')?;
        (kind_of_collection(collection).is_some() && is_id(id)).then(|| Self(text.to_owned()))
    }

    /// The kind of the collection.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0
            .split_once('/')
            .and_then(|(collection, _)| kind_of_collection(collection))
            .unwrap_or(Kind::Unspecified)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The word for a kind in facets, columns and tables: `event`.
#[must_use]
pub fn kind_label(kind: Kind) -> &'static str {
    collection(kind).trim_end_matches('s')
}

/// The collection of a kind: `events`.
#[must_use]
pub fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::Unspecified => "",
        Kind::Article => "articles",
        Kind::Actor => "actors",
        Kind::Relation => "relations",
        Kind::Event => "events",
    }
}

/// All kinds.
pub const KINDS: [Kind; 4] = [Kind::Article, Kind::Actor, Kind::Relation, Kind::Event];

fn kind_of_collection(name: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| collection(*kind) == name)
}

fn is_id(id: &str) -> bool {
    let bytes = id.as_bytes();
    bytes.len() <= MAX_ID_BYTES
        && bytes.first().is_some_and(u8::is_ascii_lowercase)
        && bytes.last().is_some_and(|last| *last != b'-')
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_known_collection_and_a_slug() {
        for good in [
            "actors/nato",
            "events/x",
            "articles/a1-b2",
            &format!("relations/{}", "a".repeat(63)),
        ] {
            assert!(Name::parse(good).is_some(), "{good}");
        }
        let long = format!("actors/{}", "a".repeat(64));
        for bad in [
            "",
            "actors",
            "actors/",
            "actors/A",
            "actors/a_b",
            "actors/-a",
            "actors/a-",
            "actors/a/b",
            "../actors/a",
            "actors/а",
            "actors/1a",
            "places/a",
            &long,
        ] {
            assert!(Name::parse(bad).is_none(), "{bad}");
        }
    }
}
