//! The refusals of a request. The enum is complete: the server maps each variant to a code and a reason.

use dateline_proto::v1::State;
use dateline_record::{
    index::FieldReference, name::Name, revision::Revision, state::state_label, violation::Violation,
};

use super::etag::Etag;

/// The reason why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Fields are invalid; lists all violations (W6).
    #[error("the request is not valid")]
    Invalid(Vec<Violation>),
    /// The record does not exist.
    #[error("there is no record {name}")]
    NotFound {
        /// The requested name.
        name: Name,
    },
    /// The name is in use, or was once (W10).
    #[error("the name {name} is taken; names are never used twice")]
    NameTaken {
        /// The requested name.
        name: Name,
    },
    /// The record was changed since the caller read it (W3).
    #[error("{name} has changed since it was read")]
    EtagMismatch {
        /// Name of the record.
        name: Name,
        /// Its present etag.
        current: Etag,
        /// The revision of the sent etag, if it is one of this record.
        seen: Option<Revision>,
        /// Paths changed since then; filled in by the store.
        changed_paths: Vec<String>,
    },
    /// An article with the same original text exists.
    #[error("the same text was submitted before, as {existing}")]
    DuplicateOriginal {
        /// Name of that article.
        existing: Name,
    },
    /// Records would lose their only source.
    #[error("{} would be left without a source; withdraw them too, with cascade", plural(records.len(), "published record", "published records"))]
    OnlyEvidence {
        /// All of those records, each with the article that it cites.
        records: Vec<(Name, Name)>,
    },
    /// Events would be part of themselves.
    #[error("{} would be part of itself: {}", names[0], circle(names))]
    PartOfItself {
        /// The cycle: names of events, each of which is part of the next one.
        names: Vec<Name>,
    },
    /// The record's state does not allow the change.
    #[error("{name} is {}: {instead}", state_label(*state))]
    WrongState {
        /// Name of the record.
        name: Name,
        /// Its state.
        state: State,
        /// Advice on what to do instead.
        instead: &'static str,
    },
    /// A record would be published that refers to records which readers cannot see (W9).
    #[error("{}", describe_unresolved(references))]
    UnresolvedReferences {
        /// All such references.
        references: Vec<UnresolvedReference>,
    },
    /// Records would be published without a source (W9).
    #[error("{} no evidence", plural(names.len(), "record of the batch has", "records of the batch have"))]
    MissingEvidence {
        /// Names of all those records.
        names: Vec<Name>,
    },
    /// The chain of events that the event is part of is longer than the limit.
    #[error("{name} is part of a chain of events that is too long; link it to a higher one")]
    PartOfTooDeep {
        /// Name of the event.
        name: Name,
    },
    /// The batch is too large.
    #[error(
        "the batch would come to {bytes} bytes and {records} records; at most {most_bytes} bytes and {most_records} records go at once"
    )]
    TooLarge {
        /// Bytes of all records.
        bytes: usize,
        /// Number of records that would change.
        records: usize,
        /// Most bytes of a batch.
        most_bytes: usize,
        /// Most records of a batch.
        most_records: usize,
    },
    /// The id was used for another request (W4).
    #[error("this request_id was used for another request within the last 24 hours")]
    RequestIdReused,
    /// The stored content cannot be read: a bug or a broken disk, never the caller's mistake.
    #[error("the stored content of {name} cannot be read")]
    Corrupt {
        /// Name of the record.
        name: Name,
    },
}

/// A reference without a published record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnresolvedReference {
    /// The record that was to be published.
    pub source: Name,
    /// The target of the reference, and its field.
    pub reference: FieldReference,
    /// The reason, if it is not the lack of a published record.
    pub why: Option<String>,
}

impl UnresolvedReference {
    /// Returns a description of the problem.
    #[must_use]
    pub fn description(&self) -> String {
        let names = || format!("{} names {}", self.reference.field, self.reference.target);
        self.why.clone().unwrap_or_else(names)
    }
}

fn describe_unresolved(references: &[UnresolvedReference]) -> String {
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
