//! Decides a request: first each write against its own record, then all of them together against the records that they
//! refer to and that refer to them. The only place where a decision is made.

use std::collections::HashMap;

use dateline_proto::v1::{change::Type as ChangeType, record::Kind as Body};
use dateline_record::{
    name::Name,
    violation::{Violation, Warning},
};
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    change::{Change, Decision, Outcome, Seen},
    erasure,
    next::MAX_META_BYTES,
    pins,
    publishing::Publishing,
    refusal::Refusal,
    request::{Request, Write, kind_field},
    sources,
    step::{self, Step, Stepped},
    warnings,
    withdrawal::Withdrawal,
    world::World,
};

/// Most bytes of a record's content. With its meta it fits a response, and gRPC clients accept 4 MiB.
const MAX_RECORD_BYTES: usize = 5 * 1024 * 1024 / 2;
/// Most bytes of content that change in one batch.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Most records that change in one batch: a merge changes two, a cascade many.
pub const MAX_BATCH_RECORDS: usize = 5000;
/// Most warnings of an answer.
const MAX_WARNINGS: usize = 100;

/// Decides a request. `mint` makes uids for new records.
///
/// # Errors
/// A refusal; nothing may be written then (W2).
pub fn decide(
    request: &Request,
    world: &World,
    now: OffsetDateTime,
    mint: &mut dyn FnMut() -> Uuid,
) -> Result<Decision, Refusal> {
    let mut seen = check_preconditions(request, world)?;
    let mut plan = Plan::of(request, world, now, mint)?;
    let pins = pins::find(&plan, world, request.is_load(), &mut seen);
    if request.is_load() {
        // References may be loaded later; they were checked where the record was published.
        if !pins.unreadable.is_empty() {
            return Err(Refusal::UnresolvedReferences {
                references: pins.unreadable,
            });
        }
        pins.apply(&mut plan, world);
        return plan.loaded(request, world, seen);
    }
    let violations = sources::check(&plan, world);
    if !violations.is_empty() {
        return Err(Refusal::Invalid(violations));
    }
    let publishing = Publishing::of(&plan, world);
    publishing.check(&pins.unreadable, &mut seen)?;
    let cascaded = Withdrawal::of(&plan, request, world, now).check(&mut seen)?;
    publishing.check_without(&cascaded)?;
    pins.apply(&mut plan, world);
    warnings::add(&mut plan, world);
    plan.warnings.truncate(MAX_WARNINGS);
    let blanked = erasure::blanked(&plan, world, &mut seen);
    let names = request.writes.iter().flat_map(Write::names);
    let looked_at = names.map(|name| (name.clone(), world.revision(name)));
    seen.revisions.extend(looked_at);
    let others = plan.others.into_iter().chain(cascaded);
    seen.revisions.extend(
        others
            .clone()
            .map(|change| (change.name, change.revision - 1)),
    );
    plan.outcomes.extend(others.map(Outcome::Changed));
    check_size(&plan.outcomes)?;
    seen.revisions.sort_unstable();
    seen.revisions.dedup();
    Ok(Decision {
        outcomes: plan.outcomes,
        seen,
        warnings: plan.warnings,
        blanked,
    })
}

/// Checks the size of a batch, which every reader holds in memory as a whole.
fn check_size(outcomes: &[Outcome]) -> Result<(), Refusal> {
    let changes = || outcomes.iter().filter_map(Outcome::change);
    let (bytes, records) = (
        changes().map(|change| change.content.len()).sum(),
        changes().count(),
    );
    if bytes <= MAX_BATCH_BYTES && records <= MAX_BATCH_RECORDS {
        return Ok(());
    }
    Err(Refusal::TooLarge {
        bytes,
        records,
        most_bytes: MAX_BATCH_BYTES,
        most_records: MAX_BATCH_RECORDS,
    })
}

/// Checks that records which are not written have the etags of the preconditions.
fn check_preconditions(request: &Request, world: &World) -> Result<Seen, Refusal> {
    let mut seen = Seen::default();
    for (name, etag) in &request.preconditions {
        match world.head(name) {
            None if etag.is_empty() => {}
            Some(head) if etag.is_empty() => {
                return Err(Refusal::EtagMismatch {
                    name: name.clone(),
                    current: head.meta.etag.clone(),
                    seen: None,
                    changed_paths: Vec::new(),
                });
            }
            _ => drop(step::current(world, name, etag)?),
        }
        seen.revisions.push((name.clone(), world.revision(name)));
    }
    Ok(seen)
}

/// Returns the violation for a record that two writes of a request change, one of them along with its own record.
pub(super) fn changes_twice(name: &Name) -> Violation {
    let what = format!("{name} would change twice; one change of a record per request");
    Violation::new("writes", what)
}

/// The results of a request's writes, one by one.
pub(super) struct Plan<'a> {
    /// In the order of the writes.
    pub writes: &'a [Write],
    /// One for each write.
    pub outcomes: Vec<Outcome>,
    /// Further changes that the writes cause.
    pub others: Vec<Change>,
    /// Warnings.
    pub warnings: Vec<Warning>,
    /// Positions of the records' new revisions.
    by_name: HashMap<Name, Place>,
    /// Outcomes whose records have names that look alike, by key.
    by_key: HashMap<i64, Vec<usize>>,
    /// New articles, by the hash of their original text.
    by_original: HashMap<String, Name>,
}

/// Position of a change in a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// Index of a write's outcome.
    Outcome(usize),
    /// Index of a further change.
    Other(usize),
}

impl<'a> Plan<'a> {
    fn of(
        request: &'a Request,
        world: &World,
        now: OffsetDateTime,
        mint: &mut dyn FnMut() -> Uuid,
    ) -> Result<Self, Refusal> {
        let mut violations = Vec::new();
        let mut plan = Plan {
            writes: &request.writes,
            outcomes: Vec::with_capacity(request.writes.len()),
            others: Vec::new(),
            warnings: request.warnings.clone(),
            by_name: HashMap::new(),
            by_key: HashMap::new(),
            by_original: HashMap::new(),
        };
        for (index, write) in request.writes.iter().enumerate() {
            let step = Step {
                index,
                write,
                world,
                now,
            };
            match step.take(mint) {
                Ok(stepped) => {
                    plan.check_original(&stepped)?;
                    plan.add(stepped);
                }
                Err(Refusal::Invalid(more)) => violations.extend(more),
                Err(refusal) => return Err(refusal),
            }
        }
        violations.extend(plan.overlaps());
        violations.extend(plan.oversized(request.is_load()));
        if violations.is_empty() {
            Ok(plan)
        } else {
            Err(Refusal::Invalid(violations))
        }
    }

    /// Returns the decision on loaded records: only the records themselves were read.
    fn loaded(self, request: &Request, world: &World, mut seen: Seen) -> Result<Decision, Refusal> {
        let names = request.writes.iter().map(|write| &write.name);
        let looked_at = names.map(|name| (name.clone(), world.revision(name)));
        seen.revisions.extend(looked_at);
        check_size(&self.outcomes)?;
        Ok(Decision {
            outcomes: self.outcomes,
            seen,
            warnings: self.warnings,
            blanked: Vec::new(),
        })
    }

    /// Checks that no two articles of a request have the same original text.
    fn check_original(&mut self, stepped: &Stepped) -> Result<(), Refusal> {
        let Some(change) = stepped.outcome.change() else {
            return Ok(());
        };
        let (ChangeType::Created, Body::Article(article)) = (change.change_type, &change.body)
        else {
            return Ok(());
        };
        if article.original_sha256.is_empty() {
            return Ok(());
        }
        let hash = article.original_sha256.clone();
        match self.by_original.insert(hash, change.name.clone()) {
            None => Ok(()),
            Some(existing) => Err(Refusal::DuplicateOriginal { existing }),
        }
    }

    fn add(&mut self, stepped: Stepped) {
        if let Some(change) = stepped.outcome.change() {
            let place = self.outcomes.len();
            self.by_name
                .insert(change.name.clone(), Place::Outcome(place));
            for key in &change.drawing.keys {
                self.by_key.entry(*key).or_default().push(place);
            }
        }
        self.outcomes.push(stepped.outcome);
        if let Some(other) = stepped.other {
            let place = Place::Other(self.others.len());
            self.by_name.insert(other.name.clone(), place);
            self.others.push(other);
        }
        self.warnings.extend(stepped.warnings);
    }

    /// Returns violations for records that would get two revisions at once, because one write changes them along with
    /// its own record.
    fn overlaps(&self) -> Vec<Violation> {
        let mut seen: HashMap<&Name, usize> = HashMap::new();
        let written = self.changes().map(|(_, change)| &change.name);
        let others = self.others.iter().map(|change| &change.name);
        for name in written.chain(others) {
            *seen.entry(name).or_default() += 1;
        }
        let twice = seen.into_iter().filter(|(_, count)| *count > 1);
        twice.map(|(name, _)| changes_twice(name)).collect()
    }

    /// Returns violations for records that are too large for a response.
    fn oversized(&self, is_load: bool) -> Vec<Violation> {
        let mut found = Vec::new();
        for (index, change) in self.changes() {
            let word = self.writes[index].action.word();
            let kind = kind_field(&change.body);
            let at = if is_load {
                format!("records[{index}].{kind}")
            } else {
                format!("writes[{index}].{word}.record.{kind}")
            };
            let bytes = change.content.len();
            // A record stored before there was a bound can still be withdrawn.
            if change.has_new_content && bytes > MAX_RECORD_BYTES {
                let what =
                    format!("would come to {bytes} bytes; a record has at most {MAX_RECORD_BYTES}");
                found.push(Violation::new(at, what));
            }
        }
        let merged = self.others.iter().map(|other| &other.meta);
        for meta in merged.filter(|meta| meta.encoded_len() > MAX_META_BYTES) {
            let count = meta.merged_from.len();
            let what = format!("{count} records are merged into one; it can take in no more");
            found.push(Violation::new("writes", what));
        }
        found
    }

    /// Returns the new revisions that the writes make, each with the index of its write.
    pub(super) fn changes(&self) -> impl Iterator<Item = (usize, &Change)> {
        let changes = self.outcomes.iter().enumerate();
        changes.filter_map(|(index, outcome)| Some((index, outcome.change()?)))
    }

    /// Returns the new revision of a record in the batch.
    pub(super) fn change_of(&self, name: &Name) -> Option<&Change> {
        match *self.by_name.get(name)? {
            Place::Outcome(place) => self.outcomes[place].change(),
            Place::Other(place) => self.others.get(place),
        }
    }

    /// Returns every new revision of the batch, including further changes.
    pub(super) fn all(&self) -> impl Iterator<Item = (Place, &Change)> {
        let written = self.changes();
        let written = written.map(|(index, change)| (Place::Outcome(index), change));
        let others = self.others.iter().enumerate();
        written.chain(others.map(|(index, change)| (Place::Other(index), change)))
    }

    /// Returns the change at a position, for modification.
    pub(super) fn change_at(&mut self, place: Place) -> Option<&mut Change> {
        match place {
            Place::Outcome(index) => match self.outcomes.get_mut(index)? {
                Outcome::Changed(change) => Some(change),
                Outcome::Unchanged(..) => None,
            },
            Place::Other(index) => self.others.get_mut(index),
        }
    }

    /// Makes a write's outcome unchanged.
    pub(super) fn leave(&mut self, place: Place) {
        if let Place::Outcome(index) = place
            && let Outcome::Changed(change) = &self.outcomes[index]
        {
            self.outcomes[index] = Outcome::Unchanged(change.name.clone(), change.revision - 1);
        }
    }

    /// Returns the records of the batch that share a key.
    pub(super) fn alike(&self, key: i64) -> impl Iterator<Item = &Name> {
        let places = self.by_key.get(&key).into_iter().flatten();
        places.filter_map(|place| Some(&self.outcomes[*place].change()?.name))
    }
}
