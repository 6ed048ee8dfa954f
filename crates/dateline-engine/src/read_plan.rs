//! Keys of the data that decisions need. The planner asks by them, the store reads by them, and a lookup of anything
//! that was not read is reported by them.

use std::{collections::BTreeSet, fmt};

use dateline_record::{name::Name, revision::Revision};

/// Most keys of a sort in a text.
const MAX_NAMED: usize = 10;

/// A pin: a record and one of its revisions.
pub type Pin = (Name, Revision);

/// The data to read, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadPlan {
    /// Records whose whole newest revision is needed.
    pub heads: BTreeSet<Name>,
    /// Records of which only the status is needed, because others refer to them.
    pub statuses: BTreeSet<Name>,
    /// Numbered revisions whose content is needed: pinned sources, and revisions to restore.
    pub revisions: BTreeSet<Pin>,
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

    /// True if a record's status is among the data: every head has one.
    #[must_use]
    pub fn has_status(&self, name: &Name) -> bool {
        self.statuses.contains(name) || self.heads.contains(name)
    }

    /// Returns these keys without those that were read before.
    #[must_use]
    pub fn without(mut self, seen: &ReadPlan) -> Self {
        self.heads.retain(|name| !seen.heads.contains(name));
        self.statuses
            .retain(|name| !seen.has_status(name) && !self.heads.contains(name));
        self.revisions.retain(|pin| !seen.revisions.contains(pin));
        self.published.retain(|name| !seen.published.contains(name));
        self.keys.retain(|key| !seen.keys.contains(key));
        self.originals.retain(|hash| !seen.originals.contains(hash));
        self.citing.retain(|name| !seen.citing.contains(name));
        self.copies.retain(|name| !seen.copies.contains(name));
        self
    }
}

impl fmt::Display for ReadPlan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pins = self.revisions.iter();
        let sorts = [
            ("heads", texts(&self.heads)),
            ("statuses", texts(&self.statuses)),
            (
                "revisions",
                pins.map(|(name, revision)| format!("{name}@{revision}"))
                    .collect(),
            ),
            ("readable revisions", texts(&self.published)),
            ("keys of likeness", texts(&self.keys)),
            ("originals", texts(&self.originals)),
            ("citing records", texts(&self.citing)),
            ("copies of notes", texts(&self.copies)),
        ];
        let mut separator = "";
        for (sort, keys) in sorts.iter().filter(|(_, keys)| !keys.is_empty()) {
            let named = keys.len().min(MAX_NAMED);
            write!(out, "{separator}{sort} of {}", keys[..named].join(", "))?;
            if named < keys.len() {
                write!(out, " and {} more", keys.len() - named)?;
            }
            separator = "; ";
        }
        Ok(())
    }
}

fn texts<T: ToString>(keys: &BTreeSet<T>) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}
