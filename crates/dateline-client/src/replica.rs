//! Per-record revisions and hashes of a replica, enough to recompute the feed's digest (F11). Holds no content.

use std::collections::HashMap;

use dateline_proto::v1::{Change, Digest, Kind, KindDigest, Record, change::Type};
use dateline_record::state;
use dateline_record::{
    digest::{LANES, Tallies, record_lanes},
    name::kind_label,
    revision::Revision,
};

use super::{Failure, event::Event};

/// The stored part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaEntry {
    /// Revision of the record.
    pub revision: i64,
    /// Contribution of the record to the digest.
    pub lanes: [u32; LANES],
}

/// Names, revisions and hashes of the records of a replica.
#[derive(Debug, Default, Clone)]
pub struct ReplicaDigest {
    records: HashMap<String, (Kind, ReplicaEntry)>,
    tallies: Tallies,
}

impl ReplicaDigest {
    /// Applies an event of a stream.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Record(record) => self.insert(record),
            Event::Change(change) => self.apply_change(change),
            Event::Checkpoint(_) => {}
        }
    }

    /// Applies a change: inserts its record, or drops the record if the change removes it or leaves a tombstone.
    pub fn apply_change(&mut self, change: &Change) {
        let goes = matches!(change.r#type(), Type::Deleted | Type::Purged | Type::Left);
        match change.record.as_ref().filter(|_| !goes) {
            Some(record) if !is_tombstone(record) => self.insert(record),
            _ => self.remove(&change.name),
        }
    }

    /// Inserts a record, in place of its older revision.
    pub fn insert(&mut self, record: &Record) {
        let Some(mut body) = record.kind.clone() else {
            return;
        };
        let revision = body.take_meta().map_or(0, |meta| meta.revision);
        let name = body.name().to_owned();
        let entry = ReplicaEntry {
            revision,
            lanes: record_lanes(Revision::new(revision), [body.to_content().as_slice()]),
        };
        self.remove(&name);
        self.tallies.tally_mut(body.kind()).add(&entry.lanes);
        self.records.insert(name, (body.kind(), entry));
    }

    /// Drops a record, if it is there.
    pub fn remove(&mut self, name: &str) {
        if let Some((kind, entry)) = self.records.remove(name) {
            self.tallies.tally_mut(kind).remove(&entry.lanes);
        }
    }

    /// The digest of the replica.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.tallies.to_digest()
    }

    /// The stored part of a record.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<ReplicaEntry> {
        self.records.get(name).map(|(_, entry)| *entry)
    }

    /// Number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Lists the records that differ between two replicas, by name, each with the difference. `here` and `there` name
    /// the replicas in that text.
    #[must_use]
    pub fn differences(
        &self,
        here: &str,
        other: &ReplicaDigest,
        there: &str,
    ) -> Vec<(String, String)> {
        let names: std::collections::BTreeSet<&String> =
            self.records.keys().chain(other.records.keys()).collect();
        let differ = names.into_iter().filter_map(|name| {
            let how = difference(self.get(name), here, other.get(name), there)?;
            Some((name.clone(), how))
        });
        differ.collect()
    }

    /// Compares with the digest of a server, for these kinds; for all kinds if none is given.
    ///
    /// # Errors
    /// The expected and the actual counts and digests.
    pub fn check(&self, said: &Digest, kinds: &[i32], sequence: i64) -> Result<(), Failure> {
        let counted = self.digest();
        let of_kinds = |digest: &Digest| {
            let mut of_kinds = digest.kinds.clone();
            of_kinds.retain(|of| kinds.is_empty() || kinds.contains(&of.kind));
            of_kinds
        };
        let (counted, said) = (of_kinds(&counted), of_kinds(said));
        if counted == said {
            return Ok(());
        }
        let count = |kinds: &[KindDigest]| {
            kinds
                .iter()
                .map(|of| {
                    let kind = kind_label(of.kind());
                    let digest = hex::encode(of.digest.get(..4).unwrap_or_default());
                    format!("{} {kind} ({digest}…)", of.records)
                })
                .collect::<Vec<_>>()
                .join(", ")
        };
        Err(Failure::replica_differs(&format!(
            "this copy is not what the feed shows at {sequence}: it has {}, the feed has {}; `dateline verify` names the records",
            count(&counted),
            count(&said),
        )))
    }
}

fn is_tombstone(record: &Record) -> bool {
    let meta = record.kind.as_ref().and_then(|body| body.meta());
    meta.is_some_and(|meta| state::is_tombstone(meta.state()))
}

fn difference(
    here: Option<ReplicaEntry>,
    in_here: &str,
    there: Option<ReplicaEntry>,
    in_there: &str,
) -> Option<String> {
    match (here, there) {
        (Some(here), Some(there)) if here == there => None,
        (Some(here), Some(there)) if here.revision == there.revision => Some(format!(
            "revision {} has another content in {in_here} than in {in_there}",
            here.revision
        )),
        (Some(here), Some(there)) => Some(format!(
            "revision {} in {in_here}, revision {} in {in_there}",
            here.revision, there.revision
        )),
        (Some(here), None) => Some(format!(
            "revision {} in {in_here}, not in {in_there}",
            here.revision
        )),
        (None, Some(there)) => Some(format!(
            "not in {in_here}, revision {} in {in_there}",
            there.revision
        )),
        (None, None) => None,
    }
}
