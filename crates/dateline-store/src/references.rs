//! Resolves the references on a page of an export as of its sequence: to the record itself or, through merges, to the
//! record it was merged into, and only to records in the export. A delta is also resolved at the earlier sequence: an
//! unchanged record belongs to it if one of its references resolves to another record than before.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
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

/// A resolved reference.
#[derive(Debug, PartialEq)]
pub struct ResolvedReference {
    /// The record that a name leads to.
    reference: Reference,
    /// The encoded reference, which many responses of an export contain.
    pub encoded: Bytes,
}

impl From<Reference> for ResolvedReference {
    fn from(reference: Reference) -> Self {
        Self {
            encoded: reference.encode_to_vec().into(),
            reference,
        }
    }
}

/// The resolved references of a page's records.
#[derive(Debug, Default)]
pub struct ResolvedReferences {
    by_record: HashMap<String, Vec<Arc<ResolvedReference>>>,
}

impl ResolvedReferences {
    /// Returns the resolved references of a record, in the order of names. A name that occurs in several records of a
    /// page has the same reference, at the same address.
    pub fn for_record(&self, record: &Name) -> impl Iterator<Item = &Arc<ResolvedReference>> {
        self.by_record.get(record.as_str()).into_iter().flatten()
    }
}

/// The names in a page of records, each once.
#[derive(Debug, Default)]
struct Mentions {
    names: Vec<String>,
    /// The indexes of the names in each record, in the order of names.
    of_record: Vec<(String, Vec<usize>)>,
}

impl Mentions {
    fn of_page(entries: &[SnapshotEntry], snapshot: &SnapshotQuery) -> Result<Self, Error> {
        let (mut mentions, mut known) = (Self::default(), HashMap::new());
        for entry in entries {
            let SnapshotEntry::Record(record) = entry else {
                continue;
            };
            let mut indexes = Vec::new();
            let mut add = |name: &str| {
                let known_index = known.get(name).copied();
                indexes.push(known_index.unwrap_or_else(|| {
                    known.insert(name.to_owned(), mentions.names.len());
                    mentions.names.push(name.to_owned());
                    mentions.names.len() - 1
                }));
            };
            visit_names(record, snapshot, &mut add)?;
            let name = |index: &usize| &mentions.names[*index];
            indexes.sort_unstable_by(|one, other| name(one).cmp(name(other)));
            indexes.dedup();
            mentions.of_record.push((record.name.to_string(), indexes));
        }
        Ok(mentions)
    }

    /// Returns the indexes of all names, or of those in the named records.
    fn indexes(&self, records: Option<&HashSet<String>>) -> Vec<usize> {
        let Some(records) = records else {
            return (0..self.names.len()).collect();
        };
        let named = self
            .of_record
            .iter()
            .filter(|(record, _)| records.contains(record));
        let indexes: BTreeSet<usize> = named.flat_map(|(_, indexes)| indexes).copied().collect();
        indexes.into_iter().collect()
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
        let mentions = Mentions::of_page(entries, snapshot)?;
        let all = mentions.indexes(None);
        let names = &mentions.names;
        let found = find(connection, snapshot, snapshot.at, &self.now, names, &all).await?;
        if let Some(since) = snapshot.since.filter(|_| !unchanged.is_empty()) {
            let doubtful = mentions.indexes(Some(unchanged));
            let before = find(connection, snapshot, since, &self.before, names, &doubtful).await?;
            let leads_elsewhere = |(record, indexes): &(String, Vec<usize>)| {
                let mut indexes = indexes.iter();
                let is_doubtful = unchanged.contains(record);
                is_doubtful && indexes.any(|name| before.get(name) != found.get(name))
            };
            let changed = mentions.of_record.iter().filter(|it| leads_elsewhere(it));
            let changed: HashSet<&str> = changed.map(|(record, _)| record.as_str()).collect();
            entries.retain(|entry| match entry {
                SnapshotEntry::Record(record) if unchanged.contains(record.name.as_str()) => {
                    changed.contains(record.name.as_str())
                }
                _ => true,
            });
        }
        let references = mentions.of_record.into_iter().map(|(record, indexes)| {
            let references = indexes.iter().filter_map(|index| found.get(index).cloned());
            (record, references.collect())
        });
        Ok(ResolvedReferences {
            by_record: references.collect(),
        })
    }
}

/// Calls `add` with every name that the sent content of a record refers to. Only what cannot be read in place is decoded.
fn visit_names(
    record: &StoredRecord,
    snapshot: &SnapshotQuery,
    add: &mut impl FnMut(&str),
) -> Result<(), Error> {
    let content = record
        .shown_content(snapshot.view)
        .filter(|_| record.state != State::Merged);
    if let Some(content) = content {
        let mut names = Vec::new();
        if visit_references(record.kind, content, &mut |name| names.push(name)) {
            names.into_iter().for_each(add);
            return Ok(());
        }
    }
    let Some(encoded) = record.encoded(snapshot.view) else {
        return Ok(());
    };
    let corrupt = || Error::Corrupt(format!("the content of {}", record.name));
    let decoded = Record::decode(encoded).map_err(|_| corrupt())?;
    let mut body = decoded.kind.ok_or_else(corrupt)?;
    for named in references(&mut body) {
        add(&named.name);
    }
    Ok(())
}

/// A name that is being followed through merges.
struct MergeChain {
    /// Index of the name.
    index: usize,
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

/// Resolves names as of a sequence, following merges one step at a time for all names at once. `indexes` says which of
/// the names.
async fn find(
    connection: &mut Lease,
    snapshot: &SnapshotQuery,
    at: Sequence,
    cache: &ReferenceCache,
    names: &[String],
    indexes: &[usize],
) -> Result<HashMap<usize, Arc<ResolvedReference>>, Error> {
    let mut found = cache.get_all(names, indexes);
    let new = indexes.iter().filter(|index| !found.contains_key(*index));
    let mut open: Vec<MergeChain> = new
        .map(|index| MergeChain::from(*index, &names[*index]))
        .collect();
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
        let reached = Arc::new(ResolvedReference::from(chain.reached));
        cache.insert(&reached);
        found.insert(chain.index, reached);
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
    fn from(index: usize, name: &str) -> Self {
        Self {
            index,
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
    found: HashMap<String, Arc<ResolvedReference>>,
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
    fn get_all(
        &self,
        names: &[String],
        indexes: &[usize],
    ) -> HashMap<usize, Arc<ResolvedReference>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.since.elapsed() > CACHE_TTL || kept.found.len() > MAX_CACHED {
            kept.found = HashMap::new();
            kept.since = Instant::now();
        }
        let known = indexes
            .iter()
            .filter_map(|index| Some((*index, kept.found.get(&names[*index])?.clone())));
        known.collect()
    }

    fn insert(&self, found: &Arc<ResolvedReference>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.found
            .insert(found.reference.name.clone(), found.clone());
    }
}
