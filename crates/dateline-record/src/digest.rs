//! The digest of a set of records, for counting and proving them (F11). It does not depend on their order; a change of
//! one record subtracts its old lanes and adds its new ones. Storage of digests is not part of this module.

use std::collections::BTreeMap;

use dateline_proto::v1::{Digest, Kind, KindDigest, State};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    revision::Revision,
    state::{is_tombstone, is_visible},
};

/// Lanes of a digest.
pub const LANES: usize = 8;

/// The lanes that one record adds to a digest: SHA-256 over its revision (8 bytes, big endian) and its content (the
/// encoded message of its kind without meta, here in pieces), as eight big-endian lanes.
#[must_use]
pub fn record_lanes<'a>(
    revision: Revision,
    content: impl IntoIterator<Item = &'a [u8]>,
) -> [u32; LANES] {
    let mut hash = Sha256::new();
    hash.update(revision.get().to_be_bytes());
    content.into_iter().for_each(|piece| hash.update(piece));
    let mut lanes = [0; LANES];
    for (lane, bytes) in lanes.iter_mut().zip(hash.finalize().chunks_exact(4)) {
        *lane = bytes
            .iter()
            .fold(0, |lane, byte| lane << 8 | u32::from(*byte));
    }
    lanes
}

/// True if the digest of the desk feed counts records in this state, as long as they exist.
#[must_use]
pub fn is_in_desk_digest(state: State) -> bool {
    !is_tombstone(state)
}

/// True if the digest of the wire feed counts records in this state.
#[must_use]
pub fn is_in_wire_digest(state: State) -> bool {
    is_visible(state) && !is_tombstone(state)
}

/// Count and digest of records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of records.
    pub records: i64,
    /// Sums of their lanes, modulo 2^32.
    #[serde(rename = "words")]
    pub lanes: [u32; LANES],
}

impl Tally {
    /// Adds a record.
    pub fn add(&mut self, lanes: &[u32; LANES]) {
        self.merge(&Tally {
            records: 1,
            lanes: *lanes,
        });
    }

    /// Removes a record.
    pub fn remove(&mut self, lanes: &[u32; LANES]) {
        self.records -= 1;
        for (sum, lane) in self.lanes.iter_mut().zip(lanes) {
            *sum = sum.wrapping_sub(*lane);
        }
    }

    /// Adds another tally, which may be a difference.
    pub fn merge(&mut self, other: &Tally) {
        self.records += other.records;
        for (sum, lane) in self.lanes.iter_mut().zip(&other.lanes) {
            *sum = sum.wrapping_add(*lane);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        self.lanes
            .iter()
            .flat_map(|lane| lane.to_be_bytes())
            .collect()
    }
}

/// Counts and digests by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tallies {
    kinds: BTreeMap<Kind, Tally>,
}

impl Tallies {
    /// The tally of a kind, mutable.
    pub fn tally_mut(&mut self, kind: Kind) -> &mut Tally {
        self.kinds.entry(kind).or_default()
    }

    /// Tallies in the order of kinds.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Tally)> {
        self.kinds.iter().map(|(kind, tally)| (*kind, tally))
    }

    /// Converts to the message of checkpoints and manifests.
    #[must_use]
    pub fn to_digest(&self) -> Digest {
        let mut all = Tally::default();
        for (_, tally) in self.iter() {
            all.merge(tally);
        }
        let there = self.iter().filter(|(_, tally)| **tally != Tally::default());
        Digest {
            records: all.records,
            digest: all.bytes(),
            kinds: there
                .map(|(kind, tally)| KindDigest {
                    kind: kind.into(),
                    records: tally.records,
                    digest: tally.bytes(),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f11_a_digest_depends_on_what_there_is_and_not_on_how_it_came_to_be() {
        let [one, other, edited] = [(1, "one"), (1, "other"), (2, "one")]
            .map(|(n, text)| record_lanes(Revision::new(n), [text.as_bytes()]));
        let mut forth = Tallies::default();
        forth.tally_mut(Kind::Actor).add(&one);
        forth.tally_mut(Kind::Event).add(&other);
        forth.tally_mut(Kind::Actor).remove(&one);
        forth.tally_mut(Kind::Actor).add(&edited);
        let mut back = Tallies::default();
        back.tally_mut(Kind::Event).add(&other);
        assert_ne!(forth.to_digest(), back.to_digest());
        back.tally_mut(Kind::Actor).add(&edited);
        assert_eq!(forth.to_digest(), back.to_digest());
        forth.tally_mut(Kind::Actor).remove(&edited);
        forth.tally_mut(Kind::Event).remove(&other);
        assert_eq!(forth.to_digest(), Tallies::default().to_digest());
    }

    #[test]
    fn f11_words_are_those_of_sha_256_over_revision_and_content() {
        // printf '\0\0\0\0\0\0\0\3abc' | sha256sum
        let bytes = record_lanes(Revision::new(3), [&b"abc"[..]])
            .map(u32::to_be_bytes)
            .concat();
        assert_eq!(
            hex::encode(bytes),
            "c3494ca1a2cf8eeb8a11ded316fb55b83c3bbbedb6313cd50415251e5d09e12f"
        );
    }
}
