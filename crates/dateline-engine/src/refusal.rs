//! Why a request was refused. Closed: the server maps each to a code and a reason, and nothing else is a
//! refusal.

use dateline_proto::v1::State;
use dateline_record::{
    drawing::Reference, name::Name, state::state_in_words, violation::Violation,
};

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields are wrong; all of them are listed (W6).
    #[error("the request is not valid")]
    Invalid(Vec<Violation>),
    /// There is no such record.
    #[error("there is no record {name}")]
    NotFound {
        /// As asked for.
        name: Name,
    },
    /// The name is in use, or was (W10).
    #[error("the name {name} is taken; names are never used twice")]
    NameTaken {
        /// As asked for.
        name: Name,
    },
    /// Somebody else changed the record first (W3).
    #[error("{name} has changed since it was read")]
    EtagMismatch {
        /// The record.
        name: Name,
        /// Its etag now.
        current: String,
        /// The revision that the sent etag stands for, if it is one of this record.
        seen: Option<i64>,
        /// Paths changed since then; the store knows them.
        changed_paths: Vec<String>,
    },
    /// An article with the same original text is there already.
    #[error("the same text was submitted before, as {existing}")]
    DuplicateOriginal {
        /// The article that has it.
        existing: Name,
    },
    /// Something would lose its only source.
    #[error("{} would be left without a source; withdraw them too, with cascade", plural(records.len(), "published record", "published records"))]
    OnlyEvidence {
        /// All of them, with the article that each of them cites.
        records: Vec<(Name, Name)>,
    },
    /// Events would be part of themselves.
    #[error("{} would be part of itself: {}", names[0], circle(names))]
    PartOfItself {
        /// The way around, from an event back to before itself.
        names: Vec<Name>,
    },
    /// The record's state does not allow the change.
    #[error("{name} is {}: {instead}", state_in_words(*state))]
    WrongState {
        /// The record.
        name: Name,
        /// Where it stands.
        state: State,
        /// What to do instead.
        instead: &'static str,
    },
    /// Something would be published that points at what readers cannot see (W9).
    #[error("{}", unresolved_in_words(references))]
    UnresolvedReferences {
        /// All of them.
        references: Vec<Unresolved>,
    },
    /// Something would be published without a source (W9).
    #[error("{} no evidence", plural(names.len(), "record of the batch has", "records of the batch have"))]
    MissingEvidence {
        /// All of them.
        names: Vec<Name>,
    },
    /// It is part of something that is part of something, and so on, further than anybody looks.
    #[error("{name} is part of a chain of events that is too long; link it to a higher one")]
    PartOfTooDeep {
        /// The event.
        name: Name,
    },
    /// More than one batch may hold.
    #[error(
        "the batch would come to {bytes} bytes and {records} records; at most {most_bytes} bytes and {most_records} records go at once"
    )]
    TooLarge {
        /// Bytes of all records.
        bytes: usize,
        /// How many would change.
        records: usize,
        /// Most bytes.
        most_bytes: usize,
        /// Most records.
        most_records: usize,
    },
    /// The id was used for another request (W4).
    #[error("this request_id was used for another request within the last 24 hours")]
    RequestIdReused,
    /// The stored content cannot be read: a bug or a broken disk, never the caller's fault.
    #[error("the stored content of {name} cannot be read")]
    Corrupt {
        /// The record.
        name: Name,
    },
}

/// A reference that nothing published answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The record that was to be published.
    pub source: Name,
    /// What it points at, and where.
    pub reference: Reference,
    /// Why that does not do, if it is not for want of a published record.
    pub why: Option<String>,
}

impl Unresolved {
    /// What the matter is.
    #[must_use]
    pub fn in_words(&self) -> String {
        let names = || format!("{} names {}", self.reference.field, self.reference.target);
        self.why.clone().unwrap_or_else(names)
    }
}

fn unresolved_in_words(references: &[Unresolved]) -> String {
    let count = references.len();
    if references.iter().all(|unresolved| unresolved.why.is_some()) {
        let quotes = plural(count, "quote of the batch is", "quotes of the batch are");
        return format!("{quotes} of what was deleted before readers saw it");
    }
    let points = plural(
        count,
        "reference of the batch points",
        "references of the batch point",
    );
    format!("{points} at records that are neither in it nor published")
}

fn plural(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

fn circle(names: &[Name]) -> String {
    let way: Vec<_> = names
        .iter()
        .chain(names.first())
        .map(Name::as_str)
        .collect();
    way.join(" → ")
}
