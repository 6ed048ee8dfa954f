//! Resolves the references on a page of an export as of its sequence: to the record itself or, through merges, to the
//! record it was merged into, and only to records in the export. A delta is also resolved at the earlier sequence: an
//! unchanged record belongs to it if one of its references resolves to another record than before.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use dateline_proto::v1::{Kind, Record, Reference, State, record::Kind as Body};
use dateline_record::{
    encoded_references::visit_references, name::Name, references::references, sequence::Sequence,
    state::is_tombstone,
};
use prost::Message;
use sqlx::QueryBuilder;

use super::{
    Error,
    columns::{kind, state},
    pool::Lease,
    snapshot::{
        SnapshotEntry, SnapshotQuery,
        query::{push_as_of, push_is_in},
    },
    stored::StoredRecord,
};

/// Longest chain of merges that is followed.
const MAX_MERGES: usize = 64;
/// Names that an export caches.
const MAX_CACHED: usize = 20_000;
/// Lifetime of the cache: a record erased meanwhile is soon dropped from it (W11).
const CACHE_TTL: Duration = Duration::from_secs(1);

/// Resolution of the references of an export.
#[derive(Debug, Clone)]
pub struct References {
    /// True for a delta that includes unchanged records whose references changed.
    pub dependants: bool,
    now: Arc<ReferenceCache>,
    before: Arc<ReferenceCache>,
}

/// The resolved references of a page's records.
#[derive(Debug, Default)]
pub struct ResolvedReferences {
    names: HashMap<String, BTreeSet<String>>,
    found: HashMap<String, Arc<Reference>>,
}

impl ResolvedReferences {
    /// Returns the resolved references of a record, in the order of names.
    pub fn for_record(&self, record: &Name) -> impl Iterator<Item = &Arc<Reference>> {
        let names = self.names.get(record.as_str()).into_iter().flatten();
        names.filter_map(|name| self.found.get(name))
    }
}

impl References {
    /// Returns a resolver with empty caches.
    #[must_use]
    pub fn new(dependants: bool) -> Self {
        Self {
            dependants,
            now: Arc::default(),
            before: Arc::default(),
        }
    }

    /// Resolves the references of a page, and removes from it the `unchanged` records whose references all resolve as
    /// before.
    pub(super) async fn resolve(
        &self,
        connection: &mut Lease,
        snapshot: &SnapshotQuery,
        entries: &mut Vec<SnapshotEntry>,
        unchanged: &HashSet<String>,
    ) -> Result<ResolvedReferences, Error> {
        let mut resolved = ResolvedReferences::default();
        for entry in &*entries {
            if let SnapshotEntry::Record(record) = entry {
                let names = names_in(record, snapshot)?;
                resolved.names.insert(record.name.to_string(), names);
            }
        }
        let names: BTreeSet<&str> = resolved
            .names
            .values()
            .flatten()
            .map(String::as_str)
            .collect();
        resolved.found = find(connection, snapshot, snapshot.at, &self.now, &names).await?;
        if let Some(since) = snapshot.since.filter(|_| !unchanged.is_empty()) {
            let doubtful = unchanged.iter().filter_map(|name| resolved.names.get(name));
            let names: BTreeSet<&str> = doubtful.flatten().map(String::as_str).collect();
            let before = find(connection, snapshot, since, &self.before, &names).await?;
            let leads_elsewhere = |record: &StoredRecord| {
                let names = resolved.names.get(record.name.as_str());
                let mut names = names.into_iter().flatten();
                names.any(|name| before.get(name) != resolved.found.get(name))
            };
            entries.retain(|entry| match entry {
                SnapshotEntry::Record(record) if unchanged.contains(record.name.as_str()) => {
                    leads_elsewhere(record)
                }
                _ => true,
            });
        }
        Ok(resolved)
    }
}

/// Returns the names that the sent content of a record refers to. Only what cannot be read in place is decoded.
fn names_in(record: &StoredRecord, snapshot: &SnapshotQuery) -> Result<BTreeSet<String>, Error> {
    let content = record
        .shown_content(snapshot.view)
        .filter(|_| record.state != State::Merged);
    if let Some(content) = content {
        let mut names = BTreeSet::new();
        let is_read = visit_references(record.kind, content, &mut |name| {
            if !names.contains(name) {
                names.insert(name.to_owned());
            }
        });
        if is_read {
            return Ok(names);
        }
    }
    decoded_names(record, snapshot)
}

fn decoded_names(
    record: &StoredRecord,
    snapshot: &SnapshotQuery,
) -> Result<BTreeSet<String>, Error> {
    let Some(encoded) = record.encoded(snapshot.view) else {
        return Ok(BTreeSet::new());
    };
    let corrupt = || Error::Corrupt(format!("the content of {}", record.name));
    let decoded = Record::decode(encoded).map_err(|_| corrupt())?;
    let mut body = decoded.kind.ok_or_else(corrupt)?;
    Ok(references(&mut body)
        .into_iter()
        .map(|named| named.name)
        .collect())
}

/// A name that is being followed through merges.
struct MergeChain {
    name: String,
    /// The record to read next.
    next: String,
    /// The last record of the chain that is in the export.
    reached: Reference,
}

#[derive(sqlx::FromRow)]
struct ReferenceRow {
    name: String,
    kind: String,
    state: String,
    merged_into: Option<String>,
    is_in: bool,
    content: Vec<u8>,
}

/// Resolves names as of a sequence, following merges one step at a time for all names at once.
async fn find(
    connection: &mut Lease,
    snapshot: &SnapshotQuery,
    at: Sequence,
    cache: &ReferenceCache,
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, Arc<Reference>>, Error> {
    let mut found = cache.get_all(names);
    let new = names.iter().filter(|name| !found.contains_key(**name));
    let mut open: Vec<MergeChain> = new.map(|name| MergeChain::from(name)).collect();
    let mut done = Vec::new();
    for _ in 0..MAX_MERGES {
        if open.is_empty() {
            break;
        }
        let asked: BTreeSet<&str> = open.iter().map(|chain| chain.next.as_str()).collect();
        let rows = rows(connection, snapshot, at, &asked).await?;
        let mut further = Vec::new();
        for mut chain in open {
            match rows.get(&chain.next) {
                Some(row) if chain.follow(row)? => further.push(chain),
                _ => done.push(chain),
            }
        }
        open = further;
    }
    done.extend(open);
    for chain in done {
        let reached = Arc::new(chain.reached);
        cache.insert(&reached);
        found.insert(chain.name, reached);
    }
    Ok(found)
}

async fn rows(
    connection: &mut Lease,
    snapshot: &SnapshotQuery,
    at: Sequence,
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, ReferenceRow>, Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut query = QueryBuilder::new(
        "SELECT name, kind, state, merged_into, is_in,
                CASE WHEN is_in AND kind = 'actor' THEN content ELSE ''::bytea END AS content
         FROM (SELECT asked.name, was.kind, was.state, was.merged_into, was.content, was.meta <> '' AND ",
    );
    push_is_in(&mut query, snapshot, "was");
    query.push(" AS is_in FROM unnest(").push_bind(names);
    query.push("::text[]) AS asked (name)");
    push_as_of(&mut query, snapshot, at, "asked.name", "was");
    query.push(") AS found");
    let rows: Vec<ReferenceRow> = query.build_query_as().fetch_all(connection).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name.clone(), row))
        .collect())
}

impl MergeChain {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            next: name.to_owned(),
            reached: Reference {
                name: name.to_owned(),
                ..Reference::default()
            },
        }
    }

    /// Adds a record that was read; returns true if a merge leads further.
    fn follow(&mut self, row: &ReferenceRow) -> Result<bool, Error> {
        // An erased record is in no export, but its merge is still known.
        let stands = state(&row.state).unwrap_or(State::Unspecified);
        if row.is_in {
            self.reached = reference(&self.name, row, stands)?;
        }
        let into = row.merged_into.as_ref().filter(|_| stands == State::Merged);
        let Some(into) = into else { return Ok(false) };
        self.next.clone_from(into);
        Ok(true)
    }
}

fn reference(name: &str, row: &ReferenceRow, stands: State) -> Result<Reference, Error> {
    let mut reference = Reference {
        name: name.to_owned(),
        record: row.name.clone(),
        tombstone: is_tombstone(stands),
        ..Reference::default()
    };
    if !reference.tombstone && kind(&row.kind)? == Kind::Actor {
        let body = Body::decode(Kind::Actor, &row.content).ok().flatten();
        let Some(Body::Actor(actor)) = body else {
            return Err(Error::Corrupt(format!("the content of {}", row.name)));
        };
        reference.r#type = actor.r#type;
        reference.display_name = actor.display_name;
        reference.region_code = actor.region_code;
    }
    Ok(reference)
}

/// Cache of recently resolved names: most records of a page refer to the same few.
#[derive(Debug)]
struct ReferenceCache {
    kept: Mutex<CachedReferences>,
}

#[derive(Debug)]
struct CachedReferences {
    since: Instant,
    found: HashMap<String, Arc<Reference>>,
}

impl Default for ReferenceCache {
    fn default() -> Self {
        let found = HashMap::new();
        let since = Instant::now();
        Self {
            kept: Mutex::new(CachedReferences { since, found }),
        }
    }
}

impl ReferenceCache {
    fn get_all(&self, names: &BTreeSet<&str>) -> HashMap<String, Arc<Reference>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.since.elapsed() > CACHE_TTL || kept.found.len() > MAX_CACHED {
            kept.found = HashMap::new();
            kept.since = Instant::now();
        }
        let known = names
            .iter()
            .filter_map(|name| kept.found.get_key_value(*name));
        known
            .map(|(name, found)| (name.clone(), found.clone()))
            .collect()
    }

    fn insert(&self, found: &Arc<Reference>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.found.insert(found.name.clone(), found.clone());
    }
}
