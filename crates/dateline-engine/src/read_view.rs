//! Data of a decision: stored records, and the status of records that are only referred to. The store fills it, round
//! by round, as [`super::look`] requests; this module reads nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::OnceLock,
};

use dateline_proto::v1::{RecordMeta, State, record::Kind as Body};
use dateline_record::{
    edtf::Bounds,
    index::{IndexTerms, extract_terms},
    name::Name,
};

/// The newest revision of a record, as stored.
#[derive(Debug, Clone)]
pub struct Head {
    /// Status, which does not depend on the content.
    pub status: RecordStatus,
    /// Encoded message of the kind, without meta.
    pub content: Vec<u8>,
    /// The same content with access to fields.
    pub body: Body,
    /// Meta, without sequence.
    pub meta: RecordMeta,
    /// Facets, sorted.
    pub facets: Vec<String>,
    /// Days that the record covers.
    pub days: Option<Bounds>,
    terms: OnceLock<IndexTerms>,
}

impl Head {
    /// Returns a head made of its stored parts.
    #[must_use]
    pub fn new(
        status: RecordStatus,
        content: Vec<u8>,
        body: Body,
        meta: RecordMeta,
        facets: Vec<String>,
        days: Option<Bounds>,
    ) -> Self {
        let terms = OnceLock::new();
        Self {
            status,
            content,
            body,
            meta,
            facets,
            days,
            terms,
        }
    }

    /// Returns the index data of its content, extracted once.
    pub fn terms(&self) -> &IndexTerms {
        self.terms
            .get_or_init(|| extract_terms(&mut self.body.clone(), self.status.state))
    }
}

/// Status of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordStatus {
    /// Editorial state; for a deleted draft, the last one.
    pub state: State,
    /// True for a deleted draft: the name stays taken for ever, and no record exists.
    pub deleted: bool,
    /// Number of the newest revision, from 1.
    pub revision: i64,
    /// The record into which it was merged.
    pub merged_into: Option<Name>,
}

impl RecordStatus {
    /// True if readers see its content.
    #[must_use]
    pub fn is_published(&self) -> bool {
        !self.deleted && self.state == State::Published
    }
}

/// The data to prefetch, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadPlan {
    /// Records whose whole newest revision is needed.
    pub heads: BTreeSet<Name>,
    /// Records of which only the status is needed, because others refer to them.
    pub statuses: BTreeSet<Name>,
    /// Numbered revisions whose content is needed: pinned sources, and revisions to restore.
    pub revisions: BTreeSet<(Name, i64)>,
    /// Articles whose readable revisions are needed.
    pub published: BTreeSet<Name>,
    /// Keys of records whose names look alike.
    pub keys: BTreeSet<i64>,
    /// SHA-256 of original texts, in hexadecimal.
    pub originals: BTreeSet<String>,
    /// Articles whose citing records are needed.
    pub citing: BTreeSet<Name>,
    /// Records to be erased, whose notes other records carry too.
    pub copies: BTreeSet<Name>,
}

impl ReadPlan {
    /// True if nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these keys without those that were read before.
    #[must_use]
    pub fn without(mut self, seen: &ReadPlan) -> Self {
        self.heads.retain(|name| !seen.heads.contains(name));
        self.statuses.retain(|name| {
            !seen.statuses.contains(name)
                && !seen.heads.contains(name)
                && !self.heads.contains(name)
        });
        self.revisions.retain(|pin| !seen.revisions.contains(pin));
        self.published.retain(|name| !seen.published.contains(name));
        self.keys.retain(|key| !seen.keys.contains(key));
        self.originals.retain(|hash| !seen.originals.contains(hash));
        self.citing.retain(|name| !seen.citing.contains(name));
        self.copies.retain(|name| !seen.copies.contains(name));
        self
    }

    /// Adds the keys of another set.
    pub fn add(&mut self, other: ReadPlan) {
        self.heads.extend(other.heads);
        self.statuses.extend(other.statuses);
        self.revisions.extend(other.revisions);
        self.published.extend(other.published);
        self.keys.extend(other.keys);
        self.originals.extend(other.originals);
        self.citing.extend(other.citing);
        self.copies.extend(other.copies);
    }
}

/// The prefetched data of a decision. A record that was requested and is not here does not exist.
#[derive(Debug, Clone, Default)]
pub struct ReadView {
    /// Everything that was requested so far.
    pub fetched: ReadPlan,
    /// Newest revisions, by name.
    pub heads: HashMap<Name, Head>,
    /// Status of records, by name; also of every head.
    pub statuses: HashMap<Name, RecordStatus>,
    /// Contents of numbered revisions.
    pub revisions: HashMap<(Name, i64), Body>,
    /// The revisions that readers can read.
    pub readable: HashSet<(Name, i64)>,
    /// The first and the newest readable revision of an article, ascending; their contents are in `revisions`.
    pub published: HashMap<Name, Vec<i64>>,
    /// Existing records, by each of their keys.
    pub similar: HashMap<i64, Vec<Name>>,
    /// Articles, by the hash of their original text.
    pub originals: HashMap<String, Name>,
    /// Published records that cite an article as evidence.
    pub citing: HashMap<Name, Vec<Name>>,
    /// Revisions of other records that carry a note of this one.
    pub copies: HashMap<Name, Vec<NoteCopy>>,
}

/// A revision that was given the note of another record: the other side of a merge, or what was withdrawn or sent back
/// with it.
#[derive(Debug, Clone)]
pub struct NoteCopy {
    /// Name of the record of the revision.
    pub name: Name,
    /// Number of the revision.
    pub revision: i64,
    /// Meta, without sequence.
    pub meta: RecordMeta,
}

impl ReadView {
    /// Returns the newest revision of a record that exists.
    #[must_use]
    pub fn head(&self, name: &Name) -> Option<&Head> {
        self.heads.get(name).filter(|head| !head.status.deleted)
    }

    /// Returns the revision of a record that a decision reads; 0 if it does not exist.
    #[must_use]
    pub fn revision(&self, name: &Name) -> i64 {
        self.statuses.get(name).map_or(0, |status| status.revision)
    }
}
