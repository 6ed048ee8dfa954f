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
    change::{Change, Decision, Outcome, ReadSet},
    checked_view::CheckedView,
    erasure,
    etag::Etag,
    pins,
    publication::PublicationCheck,
    quotes,
    read_plan::ReadPlan,
    read_view::ReadView,
    rejection::Rejection,
    request::{Request, Write, kind_field},
    revision::MAX_META_BYTES,
    sources,
    transition::{self, Transition, TransitionEffects},
    warnings,
    withdrawal::Withdrawal,
};

/// Most bytes of a record's content. With its meta it fits a response, and gRPC clients accept 4 MiB.
const MAX_RECORD_BYTES: usize = 5 * 1024 * 1024 / 2;
/// Most bytes of content that change in one batch.
pub const MAX_BATCH_BYTES: usize = 16 * 1024 * 1024;
/// Most records that change in one batch: a merge changes two, a cascade many.
pub const MAX_BATCH_RECORDS: usize = 5000;
/// Most warnings of an answer.
const MAX_WARNINGS: usize = 100;

/// The reason why there is no decision.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// A rule forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The decision looked up data that was never read: a bug of the planner, never the caller's mistake. Whatever was
    /// decided could be wrong.
    #[error("the decision needs what was never read: {0}")]
    NotRead(Box<ReadPlan>),
}

/// Decides a request. `new_uid` makes uids for new records.
///
/// # Errors
/// A refusal; nothing may be written then (W2). Data that was never read wins over every refusal.
pub fn decide(
    request: &Request,
    read_view: &ReadView,
    now: OffsetDateTime,
    new_uid: &mut dyn FnMut() -> Uuid,
) -> Result<Decision, DecideError> {
    let checked = CheckedView::new(read_view);
    let decided = decide_with(request, &checked, now, new_uid);
    let unread = checked.into_unread();
    if unread.is_empty() {
        Ok(decided?)
    } else {
        Err(DecideError::NotRead(Box::new(unread)))
    }
}

fn decide_with(
    request: &Request,
    read_view: &CheckedView<'_>,
    now: OffsetDateTime,
    new_uid: &mut dyn FnMut() -> Uuid,
) -> Result<Decision, Rejection> {
    let mut read_set = check_preconditions(request, read_view)?;
    let mut change_set = ChangeSet::build(request, read_view, now, new_uid)?;
    let violations = quotes::complete(&mut change_set, read_view, request.is_load(), &mut read_set);
    if !violations.is_empty() {
        return Err(Rejection::Invalid(violations));
    }
    let pins = pins::find(&change_set, read_view, request.is_load(), &mut read_set);
    if request.is_load() {
        // References may be loaded later; they were checked where the record was published.
        if !pins.unreadable.is_empty() {
            return Err(Rejection::UnresolvedReferences {
                references: pins.unreadable,
            });
        }
        pins.apply(&mut change_set, read_view);
        return change_set.loaded(request, read_view, read_set);
    }
    let violations = sources::check(&change_set, read_view);
    if !violations.is_empty() {
        return Err(Rejection::Invalid(violations));
    }
    let publication = PublicationCheck::new(&change_set, read_view);
    publication.check(&pins.unreadable, &mut read_set)?;
    let cascaded = Withdrawal::new(&change_set, request, read_view, now).check(&mut read_set)?;
    publication.check_without(&cascaded)?;
    pins.apply(&mut change_set, read_view);
    warnings::add(&mut change_set, read_view);
    change_set.warnings.truncate(MAX_WARNINGS);
    let redacted_notes = erasure::redact_notes(&change_set, read_view, &mut read_set);
    let names = request.writes.iter().flat_map(Write::names);
    let revisions_read = names.map(|name| (name.clone(), read_view.revision(name)));
    read_set.revisions.extend(revisions_read);
    let others = change_set.others.into_iter().chain(cascaded);
    read_set.revisions.extend(
        others
            .clone()
            .map(|change| (change.name, change.revision.previous())),
    );
    change_set.outcomes.extend(others.map(Outcome::Changed));
    check_size(&change_set.outcomes)?;
    read_set.revisions.sort_unstable();
    read_set.revisions.dedup();
    Ok(Decision {
        outcomes: change_set.outcomes,
        read_set,
        warnings: change_set.warnings,
        redacted_notes,
    })
}

/// Checks the size of a batch, which every reader holds in memory as a whole.
fn check_size(outcomes: &[Outcome]) -> Result<(), Rejection> {
    let changes = || outcomes.iter().filter_map(Outcome::change);
    let (bytes, records) = (
        changes().map(|change| change.content.len()).sum(),
        changes().count(),
    );
    if bytes <= MAX_BATCH_BYTES && records <= MAX_BATCH_RECORDS {
        return Ok(());
    }
    Err(Rejection::TooLarge {
        bytes,
        records,
        most_bytes: MAX_BATCH_BYTES,
        most_records: MAX_BATCH_RECORDS,
    })
}

/// Checks that records which are not written have the etags of the preconditions.
fn check_preconditions(
    request: &Request,
    read_view: &CheckedView<'_>,
) -> Result<ReadSet, Rejection> {
    let mut read_set = ReadSet::default();
    for (name, etag) in &request.preconditions {
        match read_view.head(name) {
            None if etag.is_empty() => {}
            Some(head) if etag.is_empty() => {
                return Err(Rejection::EtagMismatch {
                    name: name.clone(),
                    current: Etag::from(head.meta.etag.clone()),
                    seen: None,
                    changed_paths: Vec::new(),
                });
            }
            _ => drop(transition::current_head(read_view, name, etag)?),
        }
        read_set
            .revisions
            .push((name.clone(), read_view.revision(name)));
    }
    Ok(read_set)
}

/// Returns the violation for a record that two writes of a request change, one of them along with its own record.
pub(super) fn changes_twice(name: &Name) -> Violation {
    let what = format!("{name} would change twice; one change of a record per request");
    Violation::new("writes", what)
}

/// The results of a request's writes, one by one.
pub(super) struct ChangeSet<'a> {
    /// In the order of the writes.
    pub writes: &'a [Write],
    /// One for each write.
    pub outcomes: Vec<Outcome>,
    /// Further changes that the writes cause.
    pub others: Vec<Change>,
    /// Warnings.
    pub warnings: Vec<Warning>,
    /// Positions of the records' new revisions.
    by_name: HashMap<Name, ChangeIndex>,
    /// Outcomes whose records have names that look alike, by key.
    by_key: HashMap<i64, Vec<usize>>,
    /// New articles, by the hash of their original text.
    by_original: HashMap<String, Name>,
}

/// Position of a change in a change set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ChangeIndex {
    /// Index of a write's outcome.
    Outcome(usize),
    /// Index of a further change.
    Other(usize),
}

impl<'a> ChangeSet<'a> {
    fn build(
        request: &'a Request,
        read_view: &CheckedView<'_>,
        now: OffsetDateTime,
        new_uid: &mut dyn FnMut() -> Uuid,
    ) -> Result<Self, Rejection> {
        let mut violations = Vec::new();
        let mut change_set = ChangeSet {
            writes: &request.writes,
            outcomes: Vec::with_capacity(request.writes.len()),
            others: Vec::new(),
            warnings: request.warnings.clone(),
            by_name: HashMap::new(),
            by_key: HashMap::new(),
            by_original: HashMap::new(),
        };
        for (index, write) in request.writes.iter().enumerate() {
            let transition = Transition {
                index,
                write,
                read_view,
                now,
            };
            match transition.apply(new_uid) {
                Ok(effects) => {
                    change_set.check_original(&effects)?;
                    change_set.add(effects);
                }
                Err(Rejection::Invalid(more)) => violations.extend(more),
                Err(rejection) => return Err(rejection),
            }
        }
        violations.extend(change_set.overlaps());
        violations.extend(change_set.oversized(request.is_load()));
        if violations.is_empty() {
            Ok(change_set)
        } else {
            Err(Rejection::Invalid(violations))
        }
    }

    /// Returns the decision on loaded records: only the records themselves were read.
    fn loaded(
        self,
        request: &Request,
        read_view: &CheckedView<'_>,
        mut read_set: ReadSet,
    ) -> Result<Decision, Rejection> {
        let names = request.writes.iter().map(|write| &write.name);
        let revisions_read = names.map(|name| (name.clone(), read_view.revision(name)));
        read_set.revisions.extend(revisions_read);
        check_size(&self.outcomes)?;
        Ok(Decision {
            outcomes: self.outcomes,
            read_set,
            warnings: self.warnings,
            redacted_notes: Vec::new(),
        })
    }

    /// Checks that no two articles of a request have the same original text.
    fn check_original(&mut self, effects: &TransitionEffects) -> Result<(), Rejection> {
        let Some(change) = effects.outcome.change() else {
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
            Some(existing) => Err(Rejection::DuplicateOriginal { existing }),
        }
    }

    fn add(&mut self, effects: TransitionEffects) {
        if let Some(change) = effects.outcome.change() {
            let position = self.outcomes.len();
            self.by_name
                .insert(change.name.clone(), ChangeIndex::Outcome(position));
            for key in &change.terms.keys {
                self.by_key.entry(*key).or_default().push(position);
            }
        }
        self.outcomes.push(effects.outcome);
        if let Some(other) = effects.other {
            let position = ChangeIndex::Other(self.others.len());
            self.by_name.insert(other.name.clone(), position);
            self.others.push(other);
        }
        self.warnings.extend(effects.warnings);
    }

    /// Returns violations for records that would get two revisions at once, because one write changes them along with
    /// its own record.
    fn overlaps(&self) -> Vec<Violation> {
        let mut counts: HashMap<&Name, usize> = HashMap::new();
        let written = self.changes().map(|(_, change)| &change.name);
        let others = self.others.iter().map(|change| &change.name);
        for name in written.chain(others) {
            *counts.entry(name).or_default() += 1;
        }
        let twice = counts.into_iter().filter(|(_, count)| *count > 1);
        twice.map(|(name, _)| changes_twice(name)).collect()
    }

    /// Returns violations for records that are too large for a response.
    fn oversized(&self, is_load: bool) -> Vec<Violation> {
        let mut found = Vec::new();
        for (index, change) in self.changes() {
            let word = self.writes[index].action.field_name();
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
            ChangeIndex::Outcome(position) => self.outcomes[position].change(),
            ChangeIndex::Other(position) => self.others.get(position),
        }
    }

    /// Returns every new revision of the batch, including further changes.
    pub(super) fn all(&self) -> impl Iterator<Item = (ChangeIndex, &Change)> {
        let written = self.changes();
        let written = written.map(|(index, change)| (ChangeIndex::Outcome(index), change));
        let others = self.others.iter().enumerate();
        written.chain(others.map(|(index, change)| (ChangeIndex::Other(index), change)))
    }

    /// Returns the change at a position, for modification.
    pub(super) fn change_at(&mut self, position: ChangeIndex) -> Option<&mut Change> {
        match position {
            ChangeIndex::Outcome(index) => match self.outcomes.get_mut(index)? {
                Outcome::Changed(change) => Some(change),
                Outcome::Unchanged(..) => None,
            },
            ChangeIndex::Other(index) => self.others.get_mut(index),
        }
    }

    /// Makes a write's outcome unchanged.
    pub(super) fn mark_unchanged(&mut self, position: ChangeIndex) {
        if let ChangeIndex::Outcome(index) = position
            && let Outcome::Changed(change) = &self.outcomes[index]
        {
            self.outcomes[index] =
                Outcome::Unchanged(change.name.clone(), change.revision.previous());
        }
    }

    /// Returns the records of the batch that share a key.
    pub(super) fn similar(&self, key: i64) -> impl Iterator<Item = &Name> {
        let positions = self.by_key.get(&key).into_iter().flatten();
        positions.filter_map(|position| Some(&self.outcomes[*position].change()?.name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::request::{Action, Attribution};

    fn deletion(name: &Name) -> Request {
        Request {
            id: None,
            fingerprint: [0; 32],
            earlier_fingerprint: None,
            by: Attribution::default(),
            writes: vec![Write {
                name: name.clone(),
                etag: "1-a".to_owned().into(),
                note: String::new(),
                action: Action::Delete,
            }],
            preconditions: Vec::new(),
            validate_only: false,
            bytes: 0,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_record_that_was_never_read_is_not_refused_as_one_that_does_not_exist() {
        let name = Name::parse("actors/a").unwrap();
        let request = deletion(&name);
        let decide =
            |view: &ReadView| decide(&request, view, OffsetDateTime::UNIX_EPOCH, &mut Uuid::nil);
        let mut view = ReadView::default();
        let wanted = ReadPlan {
            heads: BTreeSet::from([name.clone()]),
            ..ReadPlan::default()
        };
        match decide(&view) {
            Err(error @ DecideError::NotRead(_)) => assert_eq!(
                error.to_string(),
                "the decision needs what was never read: heads of actors/a"
            ),
            other => panic!("{other:?}"),
        }
        view.insert_heads(wanted.heads, Vec::new());
        match decide(&view) {
            Err(DecideError::Rejected(rejection)) => {
                assert_eq!(rejection, Rejection::NotFound { name });
            }
            other => panic!("{other:?}"),
        }
    }
}
