//! What a decision looks at: records as they are stored, and what is known of those that are only named.
//! The store fills it, round by round, as [`super::look`] asks; nothing here reads anything.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::OnceLock,
};

use dateline_proto::v1::{RecordMeta, State, record::Kind as Body};
use dateline_record::{
    drawing::{Drawing, draw},
    edtf::Bounds,
    name::Name,
};

/// The newest revision of a record, as stored.
#[derive(Debug, Clone)]
pub struct Head {
    /// What can be said of it without its content.
    pub standing: Standing,
    /// Encoded message of the kind, without meta.
    pub content: Vec<u8>,
    /// The same with access to fields.
    pub body: Body,
    /// Without sequence.
    pub meta: RecordMeta,
    /// Sorted.
    pub facets: Vec<String>,
    /// The days it tells of.
    pub days: Option<Bounds>,
    drawn: OnceLock<Drawing>,
}

impl Head {
    /// A head from its stored parts.
    #[must_use]
    pub fn new(
        standing: Standing,
        content: Vec<u8>,
        body: Body,
        meta: RecordMeta,
        facets: Vec<String>,
        days: Option<Bounds>,
    ) -> Self {
        let drawn = OnceLock::new();
        Self {
            standing,
            content,
            body,
            meta,
            facets,
            days,
            drawn,
        }
    }

    /// What is drawn from its content, once.
    pub fn drawing(&self) -> &Drawing {
        self.drawn
            .get_or_init(|| draw(&mut self.body.clone(), self.standing.state))
    }
}

/// Where a record stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Editorial state; of a deleted draft, the last one.
    pub state: State,
    /// Its draft was deleted: the name is taken for ever, and nothing is there.
    pub deleted: bool,
    /// Counts from 1.
    pub revision: i64,
    /// The record that took its place, if it was merged.
    pub merged_into: Option<Name>,
}

impl Standing {
    /// Whether readers see its content.
    #[must_use]
    pub fn is_published(&self) -> bool {
        !self.deleted && self.state == State::Published
    }
}

/// What is looked at, by what it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Whole newest revisions.
    pub heads: BTreeSet<Name>,
    /// Where records stand that are only referred to.
    pub standings: BTreeSet<Name>,
    /// Contents of numbered revisions: pinned sources, and what is to be restored.
    pub revisions: BTreeSet<(Name, i64)>,
    /// Articles whose revisions matter that readers can read.
    pub published: BTreeSet<Name>,
    /// Keys of records that would read alike.
    pub keys: BTreeSet<i64>,
    /// SHA-256 of texts as received, in hexadecimal.
    pub originals: BTreeSet<String>,
    /// Articles whose citing records matter.
    pub citing: BTreeSet<Name>,
    /// Records that are to be erased, whose notes other records have too.
    pub copies: BTreeSet<Name>,
}

impl Look {
    /// Whether there is nothing to look at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Without what was looked at before.
    #[must_use]
    pub fn minus(mut self, seen: &Look) -> Self {
        self.heads.retain(|name| !seen.heads.contains(name));
        self.standings.retain(|name| {
            !seen.standings.contains(name)
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

    /// Adds another look.
    pub fn add(&mut self, other: Look) {
        self.heads.extend(other.heads);
        self.standings.extend(other.standings);
        self.revisions.extend(other.revisions);
        self.published.extend(other.published);
        self.keys.extend(other.keys);
        self.originals.extend(other.originals);
        self.citing.extend(other.citing);
        self.copies.extend(other.copies);
    }
}

/// What a decision may look at. Whatever was looked at and is not here does not exist.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// What was asked for so far.
    pub looked: Look,
    /// Newest revisions, by name.
    pub heads: HashMap<Name, Head>,
    /// Where records stand, by name; of every head too.
    pub standings: HashMap<Name, Standing>,
    /// Contents of numbered revisions.
    pub revisions: HashMap<(Name, i64), Body>,
    /// Those of them that readers can read.
    pub readable: HashSet<(Name, i64)>,
    /// The first and the newest revision of an article that readers can read, ascending; their contents are in
    /// `revisions`.
    pub published: HashMap<Name, Vec<i64>>,
    /// Records that are there for readers or editors, by each of their keys.
    pub alike: HashMap<i64, Vec<Name>>,
    /// Articles, by the hash of their original text.
    pub originals: HashMap<String, Name>,
    /// Published records that cite an article as evidence.
    pub citing: HashMap<Name, Vec<Name>>,
    /// Revisions of other records that were given a note of this one.
    pub copies: HashMap<Name, Vec<NoteCopy>>,
}

/// A revision that was given the note of another record: the other side of a merge, or what was withdrawn or sent back
/// with it.
#[derive(Debug, Clone)]
pub struct NoteCopy {
    /// Whose revision it is.
    pub name: Name,
    /// Its number.
    pub revision: i64,
    /// Without sequence.
    pub meta: RecordMeta,
}

impl World {
    /// The newest revision of a record that is there.
    #[must_use]
    pub fn head(&self, name: &Name) -> Option<&Head> {
        self.heads.get(name).filter(|head| !head.standing.deleted)
    }

    /// The revision of a record that a decision saw; 0 where there is none.
    #[must_use]
    pub fn revision(&self, name: &Name) -> i64 {
        self.standings
            .get(name)
            .map_or(0, |standing| standing.revision)
    }
}
