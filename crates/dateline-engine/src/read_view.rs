//! Data that was read for decisions: stored records, and the status of records that are only referred to. The store
//! inserts it, round by round, as [`super::prefetch`] requests it; this module reads nothing.
//!
//! Every insertion takes the keys that were asked for, so the view knows what was read, also where nothing was found.
//! Decisions look things up through a `CheckedView`, which reports what was never read. Only the
//! planner, which works with what is there by now, uses the accessors that end in `_so_far`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::OnceLock,
};

use dateline_proto::v1::{RecordMeta, State, record::Kind as Body};
use dateline_record::{
    edtf::Bounds,
    index::{IndexTerms, extract_terms},
    name::Name,
    revision::Revision,
};

use super::read_plan::{Pin, ReadPlan};

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
    /// Sequence of the record's last change on the wire feed.
    pub wire_sequence: Option<i64>,
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
        wire_sequence: Option<i64>,
    ) -> Self {
        let terms = OnceLock::new();
        Self {
            status,
            content,
            body,
            meta,
            facets,
            days,
            wire_sequence,
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
    pub revision: Revision,
    /// The record into which it was merged.
    pub merged_into: Option<Name>,
}

impl RecordStatus {
    /// True if readers see its content.
    #[must_use]
    pub fn is_published(&self) -> bool {
        !self.deleted && self.state == State::Published
    }

    /// True if readers see its content when its embargo ends.
    #[must_use]
    pub fn is_embargoed(&self) -> bool {
        !self.deleted && self.state == State::Embargoed
    }
}

/// A revision that was given the note of another record: the other side of a merge, or what was withdrawn or sent back
/// with it.
#[derive(Debug, Clone)]
pub struct NoteCopy {
    /// Name of the record of the revision.
    pub name: Name,
    /// Number of the revision.
    pub revision: Revision,
    /// Meta, without sequence.
    pub meta: RecordMeta,
}

/// The data that was read for decisions.
#[derive(Debug, Clone, Default)]
pub struct ReadView {
    /// Everything that was read so far, whether or not it was found.
    read: ReadPlan,
    /// Data that stays unread because a chain of reads is longer than the limit.
    beyond_limit: ReadPlan,
    /// Newest revisions, by name.
    heads: HashMap<Name, Head>,
    /// Status of records, by name; also of every head.
    statuses: HashMap<Name, RecordStatus>,
    /// Contents of numbered revisions.
    revisions: HashMap<Pin, Body>,
    /// The revisions that readers can read.
    readable: HashSet<Pin>,
    /// The first and the newest readable revision of an article, ascending; their contents are in `revisions`.
    published: HashMap<Name, Vec<Revision>>,
    /// Existing records, by each of their keys.
    similar: HashMap<i64, Vec<Name>>,
    /// Articles, by the hash of their original text.
    originals: HashMap<String, Name>,
    /// Published records that cite an article as evidence.
    citing: HashMap<Name, Vec<Name>>,
    /// Revisions of other records that carry a note of this one.
    copies: HashMap<Name, Vec<NoteCopy>>,
}

/// Insertion: the keys that were asked for, and what was found.
impl ReadView {
    /// Inserts newest revisions.
    pub fn insert_heads(&mut self, asked: BTreeSet<Name>, found: Vec<(Name, Head)>) {
        self.read.heads.extend(asked);
        for (name, head) in found {
            self.statuses.insert(name.clone(), head.status.clone());
            self.heads.insert(name, head);
        }
    }

    /// Inserts the status of records.
    pub fn insert_statuses(&mut self, asked: BTreeSet<Name>, found: Vec<(Name, RecordStatus)>) {
        self.read.statuses.extend(asked);
        self.statuses.extend(found);
    }

    /// Inserts contents of numbered revisions, each with whether readers can read it.
    pub fn insert_revisions(&mut self, asked: BTreeSet<Pin>, found: Vec<(Pin, Body, bool)>) {
        self.read.revisions.extend(asked);
        for (pin, body, is_readable) in found {
            self.readable.extend(is_readable.then(|| pin.clone()));
            self.revisions.insert(pin, body);
        }
    }

    /// Inserts the readable revisions of articles, ascending.
    pub fn insert_readable(&mut self, asked: BTreeSet<Name>, found: Vec<(Pin, Body)>) {
        self.read.published.extend(asked);
        for (pin, body) in found {
            let known = self.published.entry(pin.0.clone()).or_default();
            known.push(pin.1);
            self.readable.insert(pin.clone());
            self.revisions.insert(pin, body);
        }
    }

    /// Inserts records by the keys of their names.
    pub fn insert_similar(&mut self, asked: BTreeSet<i64>, found: Vec<(i64, Name)>) {
        self.read.keys.extend(asked);
        for (key, name) in found {
            self.similar.entry(key).or_default().push(name);
        }
    }

    /// Inserts articles by the hash of their original text.
    pub fn insert_originals(&mut self, asked: BTreeSet<String>, found: Vec<(String, Name)>) {
        self.read.originals.extend(asked);
        self.originals.extend(found);
    }

    /// Inserts the published records that cite articles: article, then citing record.
    pub fn insert_citing(&mut self, asked: BTreeSet<Name>, found: Vec<(Name, Name)>) {
        self.read.citing.extend(asked);
        for (article, source) in found {
            self.citing.entry(article).or_default().push(source);
        }
    }

    /// Inserts the revisions that carry a note of records.
    pub fn insert_copies(&mut self, asked: BTreeSet<Name>, found: Vec<(Name, NoteCopy)>) {
        self.read.copies.extend(asked);
        for (name, copy) in found {
            self.copies.entry(name).or_default().push(copy);
        }
    }

    /// Marks data that stays unread because a chain of reads is longer than the limit. Decisions take it for absent,
    /// which refuses what depends on it.
    pub fn stop_before(&mut self, beyond_limit: ReadPlan) {
        self.beyond_limit = beyond_limit;
    }
}

/// Access to the data read so far. `None` also stands for what was not read yet.
impl ReadView {
    /// Everything that was read so far, whether or not it was found.
    pub(super) fn read_so_far(&self) -> &ReadPlan {
        &self.read
    }

    /// Returns the data that stays unread because of the limit.
    pub(super) fn beyond_limit(&self) -> &ReadPlan {
        &self.beyond_limit
    }

    /// Returns the newest revision of a record, also of a deleted draft.
    pub(super) fn any_head_so_far(&self, name: &Name) -> Option<&Head> {
        self.heads.get(name)
    }

    /// Returns the newest revision of a record that exists.
    pub(super) fn head_so_far(&self, name: &Name) -> Option<&Head> {
        self.any_head_so_far(name)
            .filter(|head| !head.status.deleted)
    }

    /// Returns the status of a record, also of a deleted draft.
    pub(super) fn status_so_far(&self, name: &Name) -> Option<&RecordStatus> {
        self.statuses.get(name)
    }

    /// Returns the content of a numbered revision.
    pub(super) fn body_so_far(&self, pin: &Pin) -> Option<&Body> {
        self.revisions.get(pin)
    }

    /// True if readers can read a numbered revision.
    pub(super) fn is_readable_so_far(&self, pin: &Pin) -> bool {
        self.readable.contains(pin)
    }

    /// Returns the first and the newest readable revision of an article, ascending.
    pub(super) fn readable_so_far(&self, article: &Name) -> &[Revision] {
        self.published.get(article).map_or(&[], Vec::as_slice)
    }

    /// Returns existing records with a key.
    pub(super) fn similar_so_far(&self, key: i64) -> &[Name] {
        self.similar.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Returns the article with an original text.
    pub(super) fn original_so_far(&self, hash: &str) -> Option<&Name> {
        self.originals.get(hash)
    }

    /// Returns the published records that cite an article.
    pub(super) fn citing_so_far(&self, article: &Name) -> &[Name] {
        self.citing.get(article).map_or(&[], Vec::as_slice)
    }

    /// Returns the revisions of other records that carry a note of this one.
    pub(super) fn copies_so_far(&self, name: &Name) -> &[NoteCopy] {
        self.copies.get(name).map_or(&[], Vec::as_slice)
    }
}
