//! The visible state of a feed, folded from its changes, and its digest, computed as `feed_service.proto` specifies for
//! consumers.

use std::collections::{BTreeMap, HashMap};

use dateline_proto::v1::{
    Change, Digest, Kind, KindDigest, Record, RecordFilter, change::Type, record::Kind as Body,
};
use sha2::{Digest as _, Sha256};

use super::{history, matching::is_tombstone};

type Lanes = [u32; 8];

/// A consumer's replica.
#[derive(Debug, Clone, Default)]
pub struct FoldedState {
    /// Includes tombstones if the consumer requests their states.
    pub records: BTreeMap<String, Record>,
    /// True if the digest is updated with each change, and not computed at the end.
    keeps_up: bool,
    hashes: HashMap<String, (i32, Lanes)>,
    sums: BTreeMap<i32, (i64, Lanes)>,
    /// Records whose content was erased before it was seen: their part of a digest cannot be known.
    unknown: std::collections::HashSet<String>,
}

impl FoldedState {
    /// A replica whose digest is available at any time.
    pub fn with_digest() -> Self {
        Self {
            keeps_up: true,
            ..Self::default()
        }
    }

    /// The digest of the records in a replica.
    pub fn count(&self) -> Option<Digest> {
        let mut counted = Self::with_digest();
        for record in self.records.values() {
            counted.insert(record, &RecordFilter::default());
        }
        counted.unknown.clone_from(&self.unknown);
        counted.digest()
    }

    /// Applies a change to the replica.
    pub fn apply(&mut self, change: &Change, filter: &RecordFilter) {
        self.remove(&change.name);
        match (change.r#type(), &change.record) {
            (Type::Deleted | Type::Purged | Type::Left, _) | (_, None) => {}
            (_, Some(record)) => self.insert(record, filter),
        }
    }

    /// Adds a record, unless it is a tombstone that was not requested.
    pub fn insert(&mut self, record: &Record, filter: &RecordFilter) {
        let name = history::name(record).to_owned();
        let Some(meta) = history::meta(record).filter(|meta| meta.revision > 0) else {
            self.unknown.insert(name);
            return;
        };
        if is_tombstone(meta.state) && !filter.states.contains(&meta.state) {
            return;
        }
        if self.keeps_up && !is_tombstone(meta.state) {
            let kind = kind(record);
            let words = lanes(meta.revision, &history::content(record));
            let (count, sums) = self.sums.entry(kind).or_default();
            *count += 1;
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = sum.wrapping_add(word);
            }
            self.hashes.insert(name.clone(), (kind, words));
        }
        self.records.insert(name, record.clone());
    }

    fn remove(&mut self, name: &str) {
        self.records.remove(name);
        self.unknown.remove(name);
        if let Some((kind, words)) = self.hashes.remove(name) {
            let (count, sums) = self.sums.entry(kind).or_default();
            *count -= 1;
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = sum.wrapping_sub(word);
            }
        }
    }

    /// The digest of a replica that updates it; `None` if it holds records that were erased before they were seen.
    pub fn digest(&self) -> Option<Digest> {
        if !self.unknown.is_empty() {
            return None;
        }
        let mut all = (0, Lanes::default());
        let mut kinds = Vec::new();
        for (kind, (count, sums)) in self.sums.iter().filter(|(_, (count, _))| *count > 0) {
            all.0 += count;
            for (sum, word) in all.1.iter_mut().zip(sums) {
                *sum = sum.wrapping_add(*word);
            }
            kinds.push(KindDigest {
                kind: *kind,
                records: *count,
                digest: bytes(sums),
            });
        }
        Some(Digest {
            records: all.0,
            digest: bytes(&all.1),
            kinds,
        })
    }
}

fn kind(record: &Record) -> i32 {
    let kind = match &record.kind {
        Some(Body::Article(_)) => Kind::Article,
        Some(Body::Actor(_)) => Kind::Actor,
        Some(Body::Relation(_)) => Kind::Relation,
        Some(Body::Event(_)) => Kind::Event,
        None => Kind::Unspecified,
    };
    kind.into()
}

fn lanes(revision: i64, content: &[u8]) -> Lanes {
    let hash = Sha256::new()
        .chain_update(revision.to_be_bytes())
        .chain_update(content)
        .finalize();
    let mut words = Lanes::default();
    for (word, bytes) in words.iter_mut().zip(hash.chunks_exact(4)) {
        *word = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    words
}

fn bytes(words: &Lanes) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}
