//! The record that a name leads to: the named record itself, or after merges its successor, and only if the export has
//! it. Files never name a record outside of the export without counting a loss.
//!
//! References come with each response of an export ([`Referents::from_references`]), or are collected from all of its
//! records ([`Referents::add`], then [`Referents::resolve_merges`]); the results are equal.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use dateline_proto::v1::{Actor, Kind, Reference, actor::Type, record::Kind as Body};
use dateline_record::{
    encoded::{EncodedRecord, InvalidRecord},
    name::collection,
    references::references,
};

use super::Losses;

/// The records that names lead to, by hash of the name, since an export may have millions.
#[derive(Debug, Clone, Default)]
pub struct Referents {
    by_name: HashMap<Key, Referent>,
    /// True if some names lead to no record.
    has_dangling: bool,
    /// Records that others were merged into, while records are collected.
    winners: HashMap<Key, Winner>,
}

type Key = [u8; 16];

/// The record that a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Referent {
    /// Its name, if it differs from the given one.
    other: Option<Arc<str>>,
    is_tombstone: bool,
    known: Option<Arc<ActorSummary>>,
}

/// The data of an actor that formats need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActorSummary {
    /// Name for display.
    pub display_name: Box<str>,
    /// Type of the actor.
    pub r#type: Type,
    /// ISO 3166-1 alpha-2; empty if none.
    pub region_code: Box<str>,
}

/// A record that another one was merged into.
#[derive(Debug, Clone)]
struct Winner {
    name: Arc<str>,
    is_tombstone: bool,
    /// Number of records merged into it; the end of a chain of merges has the most.
    merged: usize,
}

impl Referents {
    /// Reads the references of a response.
    #[must_use]
    pub fn from_references(references: Vec<Reference>) -> Self {
        let mut referents = Self::default();
        for reference in references {
            if reference.record.is_empty() {
                referents.has_dangling = true;
                continue;
            }
            let is_other = reference.record != reference.name;
            let is_actor = !reference.tombstone && is_actor(&reference.record);
            let referent = Referent {
                other: is_other.then(|| reference.record.as_str().into()),
                is_tombstone: reference.tombstone,
                known: is_actor.then(|| {
                    Arc::new(ActorSummary {
                        r#type: reference.r#type(),
                        display_name: reference.display_name.as_str().into(),
                        region_code: reference.region_code.as_str().into(),
                    })
                }),
            };
            referents.by_name.insert(key(&reference.name), referent);
        }
        referents
    }

    /// Collects all records of an export.
    ///
    /// # Errors
    /// If a record cannot be decoded.
    pub fn from_records<'a>(
        records: impl IntoIterator<Item = &'a EncodedRecord>,
    ) -> Result<Self, InvalidRecord> {
        let mut referents = Self::default();
        for record in records {
            referents.add(record)?;
        }
        referents.resolve_merges();
        Ok(referents)
    }

    /// Adds a record of an export.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn add(&mut self, record: &EncodedRecord) -> Result<(), InvalidRecord> {
        let body = record.body()?;
        let is_tombstone = record.is_tombstone();
        let known = match body {
            Body::Actor(actor) if !is_tombstone => Some(Arc::new(ActorSummary::from(actor))),
            _ => None,
        };
        let referent = Referent {
            other: None,
            is_tombstone,
            known,
        };
        self.by_name.insert(key(record.name()), referent);
        let merged = body.meta().map_or(&[][..], |meta| &meta.merged_from);
        if merged.is_empty() {
            return Ok(());
        }
        let winner = Winner {
            name: record.name().into(),
            is_tombstone,
            merged: merged.len(),
        };
        for loser in merged {
            match self.winners.entry(key(loser)) {
                Entry::Vacant(free) => drop(free.insert(winner.clone())),
                Entry::Occupied(mut other) if winner.is_after(other.get()) => {
                    other.insert(winner.clone());
                }
                Entry::Occupied(_) => {}
            }
        }
        Ok(())
    }

    /// Resolves the merges after all records were added.
    pub fn resolve_merges(&mut self) {
        for (loser, winner) in std::mem::take(&mut self.winners) {
            let is_there = |referent: &Referent| !referent.is_tombstone;
            if self.by_name.get(&loser).is_some_and(is_there) {
                continue;
            }
            let known = self.by_name.get(&key(&winner.name));
            let referent = Referent {
                other: Some(winner.name),
                is_tombstone: winner.is_tombstone,
                known: known.and_then(|known| known.known.clone()),
            };
            self.by_name.insert(loser, referent);
        }
        // Names of records outside of the export were not collected, so any other name may dangle.
        self.has_dangling = true;
    }

    /// The record that a name leads to, unless it is a tombstone.
    #[must_use]
    pub fn record<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.find(name)
            .filter(|(_, referent)| !referent.is_tombstone)
            .map(|(record, _)| record)
    }

    /// The record that a name leads to, also a tombstone.
    #[must_use]
    pub fn record_or_tombstone<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.find(name).map(|(record, _)| record)
    }

    /// The actor that a name leads to, with its data.
    #[must_use]
    pub fn actor<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a ActorSummary)> {
        let (record, referent) = self.find(name)?;
        Some((record, referent.known.as_deref()?))
    }

    fn find<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a Referent)> {
        if name.is_empty() {
            return None;
        }
        let referent = self.by_name.get(&key(name))?;
        Some((referent.other.as_deref().unwrap_or(name), referent))
    }

    /// Counts the names in a record that lead to no record, for formats that write names unchanged.
    ///
    /// # Errors
    /// If it cannot be decoded.
    pub fn count_dangling(
        &self,
        record: &EncodedRecord,
        losses: &mut Losses,
    ) -> Result<(), InvalidRecord> {
        if !self.has_dangling {
            return Ok(());
        }
        let mut body = record.body()?.clone();
        let collection = collection(record.kind());
        for named in references(&mut body) {
            if self.find(&named.name).is_none() {
                losses.add(&format!("{collection}.{}", named.field), 1);
            }
        }
        Ok(())
    }
}

impl Winner {
    /// True if a name that was merged into both leads to this one: a record rather than a tombstone, else the later
    /// one.
    fn is_after(&self, other: &Self) -> bool {
        (!self.is_tombstone, self.merged) > (!other.is_tombstone, other.merged)
    }
}

impl From<&Actor> for ActorSummary {
    fn from(actor: &Actor) -> Self {
        Self {
            display_name: actor.display_name.as_str().into(),
            r#type: actor.r#type(),
            region_code: actor.region_code.as_str().into(),
        }
    }
}

fn is_actor(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(of, _)| of == collection(Kind::Actor))
}

fn key(name: &str) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use dateline_proto::v1::{Event, Participant, Record, RecordMeta, State};

    fn actor(name: &str, state: State, into: &str, from: &[&str]) -> EncodedRecord {
        let actor = Actor {
            name: format!("actors/{name}"),
            display_name: name.to_uppercase(),
            meta: Some(RecordMeta {
                state: state.into(),
                merged_into: into.to_owned(),
                merged_from: from.iter().map(|name| format!("actors/{name}")).collect(),
                ..RecordMeta::default()
            }),
            ..Actor::default()
        };
        EncodedRecord::from_record(Record::from(Body::Actor(actor))).unwrap()
    }

    #[test]
    fn a_merged_name_leads_to_the_end_of_its_chain_and_a_withdrawn_one_nowhere() {
        let records = [
            actor("a", State::Merged, "actors/b", &[]),
            actor("b", State::Merged, "actors/c", &["a"]),
            actor("c", State::Published, "", &["b", "a"]),
            actor("e", State::Retracted, "", &["d"]),
        ];
        for kept in [&records[..], &records[2..3]] {
            let referents = Referents::from_records(kept).unwrap();
            for name in ["actors/a", "actors/b", "actors/c"] {
                assert_eq!(referents.record(name), Some("actors/c"), "{name}");
                let (record, known) = referents.actor(name).unwrap();
                assert_eq!((record, known.display_name.as_ref()), ("actors/c", "C"));
            }
            assert_eq!(referents.record("actors/d"), None);
            let tombstone = (kept.len() > 1).then_some("actors/e");
            assert_eq!(referents.record_or_tombstone("actors/d"), tombstone);
            assert_eq!(referents.record(""), None);
        }
        // Without the last record, only the tombstone before it is left.
        let referents = Referents::from_records(&records[..2]).unwrap();
        assert_eq!(referents.record_or_tombstone("actors/a"), Some("actors/b"));
    }

    #[test]
    fn names_that_lead_nowhere_are_counted_at_their_fields() {
        let referents =
            Referents::from_records(&[actor("c", State::Published, "", &["b"])]).unwrap();
        let participant = |actor: &str| Participant {
            actor: actor.into(),
            ..Participant::default()
        };
        let event = Event {
            name: "events/talks".into(),
            participants: ["actors/b", "actors/c", "actors/gone", ""]
                .map(participant)
                .into(),
            ..Event::default()
        };
        let event = EncodedRecord::from_record(Record::from(Body::Event(event))).unwrap();
        let mut losses = Losses::default();
        referents.count_dangling(&event, &mut losses).unwrap();
        let losses = serde_json::to_string(&losses).unwrap();
        assert_eq!(losses, r#"{"events.participants.actor":1}"#);
    }
}
