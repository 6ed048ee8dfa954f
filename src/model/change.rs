//! Which change a request makes to the records that it names, or why it makes none. The one place where a
//! record moves from one revision to the next, for every kind alike.

use std::collections::HashMap;

use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    drawing::{Drawing, draw},
    edtf::Bounds,
    mask,
    name::Name,
    refusal::{Refusal, Unresolved},
    request::{Action, Request, Write, check_body, kind_field},
    walk::Path,
};
use crate::proto::v1::{
    Correction, Kind, RecordMeta, State, change::Type as ChangeType, correction,
    record::Kind as Body,
};

/// The newest revision of a record, as stored.
#[derive(Debug, Clone)]
pub struct Head {
    /// What can be said of it without its content.
    pub standing: Standing,
    /// Encoded message of the kind, without meta.
    pub content: Vec<u8>,
    /// Without sequence.
    pub meta: RecordMeta,
    /// Sorted.
    pub facets: Vec<String>,
    /// The days it tells of.
    pub days: Option<Bounds>,
}

/// Where a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Editorial state; of a deleted draft, the last one.
    pub state: State,
    /// Its draft was deleted: the name is taken for ever, and nothing is there.
    pub deleted: bool,
    /// Counts from 1.
    pub revision: i64,
}

/// What a decision may look at: the heads that the request names, and the standing of what they refer to.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// By name; absent means there never was such a record.
    pub heads: HashMap<Name, Head>,
    /// By name; absent means there never was such a record.
    pub standings: HashMap<Name, Standing>,
}

/// The next revision of a record.
#[derive(Debug, Clone)]
pub struct Change {
    /// The record.
    pub name: Name,
    /// Its identity over all revisions.
    pub uid: Uuid,
    /// What happened.
    pub change_type: ChangeType,
    /// Number of the new revision.
    pub revision: i64,
    /// State after the change.
    pub state: State,
    /// State before it; `None` for a new record.
    pub state_before: Option<State>,
    /// Encoded message of the kind, without meta.
    pub content: Vec<u8>,
    /// Without sequence.
    pub meta: RecordMeta,
    /// The same content with access to fields.
    pub body: Body,
    /// What is drawn from the new revision.
    pub drawing: Drawing,
    /// Facets of the revision before.
    pub facets_before: Vec<String>,
    /// Days of the revision before.
    pub days_before: Option<Bounds>,
    /// Top-level fields that changed.
    pub changed_fields: Vec<String>,
    /// Public note.
    pub note: String,
    /// Whether the content, and so what it refers to, may differ from the revision before.
    pub has_new_content: bool,
}

impl Change {
    /// Kind of the record.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.name.kind()
    }

    /// Whether readers see anything of this change.
    #[must_use]
    pub fn is_on_wire(&self) -> bool {
        is_visible(self.state) || self.state_before.is_some_and(is_visible)
    }
}

/// Whether readers see records in this state, be it as tombstones (F10).
#[must_use]
pub fn is_visible(state: State) -> bool {
    matches!(state, State::Published | State::Retracted | State::Merged)
}

/// Whether a record in this state is a tombstone: readers get its name and meta, not its content.
#[must_use]
pub fn is_tombstone(state: State) -> bool {
    matches!(state, State::Retracted | State::Merged)
}

/// What one write comes to.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum Outcome {
    /// A new revision.
    Changed(Change),
    /// The record is already as the write wants it; no revision is made.
    Unchanged(Name, i64),
}

impl Outcome {
    /// The new revision, if there is one.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self {
            Outcome::Changed(change) => Some(change),
            Outcome::Unchanged(..) => None,
        }
    }
}

/// What a request comes to.
#[derive(Debug, Clone)]
pub struct Decision {
    /// In the order of the writes.
    pub outcomes: Vec<Outcome>,
    /// Every record that the decision looked at, with the revision it saw; 0 where there was none.
    pub read_set: Vec<(Name, i64)>,
}

/// Decides a request. `mint` makes uids for new records.
///
/// # Errors
/// A refusal; then nothing may be written (W2).
pub fn decide(
    request: &Request,
    world: &World,
    now: OffsetDateTime,
    mint: &mut dyn FnMut() -> Uuid,
) -> Result<Decision, Refusal> {
    let mut violations = Vec::new();
    let mut outcomes = Vec::with_capacity(request.writes.len());
    for (index, write) in request.writes.iter().enumerate() {
        let step = Step {
            index,
            name: &write.name,
            head: world.heads.get(&write.name),
            now,
        };
        match step.decide(write, mint) {
            Ok(outcome) => outcomes.push(outcome),
            Err(Refusal::Invalid(more)) => violations.extend(more),
            Err(refusal) => return Err(refusal),
        }
    }
    if !violations.is_empty() {
        return Err(Refusal::Invalid(violations));
    }
    let mut read_set: Vec<_> = request
        .writes
        .iter()
        .map(|write| {
            (
                write.name.clone(),
                world
                    .heads
                    .get(&write.name)
                    .map_or(0, |head| head.standing.revision),
            )
        })
        .collect();
    read_set.extend(check_publishing(&outcomes, world)?);
    Ok(Decision { outcomes, read_set })
}

/// One write against one head.
struct Step<'a> {
    index: usize,
    name: &'a Name,
    head: Option<&'a Head>,
    now: OffsetDateTime,
}

impl Step<'_> {
    fn decide(&self, write: &Write, mint: &mut dyn FnMut() -> Uuid) -> Result<Outcome, Refusal> {
        match &write.action {
            Action::Create { body } => self.create(body, mint()),
            Action::Update { body, paths, etag } => self.update(body, paths, etag),
            Action::Delete { etag } => self.delete(etag),
            Action::Publish { etag } => self.publish(etag),
            Action::Retract { etag, note } => self.retract(etag, note),
        }
    }

    fn create(&self, body: &Body, uid: Uuid) -> Result<Outcome, Refusal> {
        if self.head.is_some() {
            return Err(Refusal::NameTaken {
                name: self.name.clone(),
            });
        }
        let meta = RecordMeta {
            uid: uid.to_string(),
            create_time: Some(timestamp(self.now)),
            ..RecordMeta::default()
        };
        Ok(Outcome::Changed(self.change(
            ChangeType::Created,
            State::Draft,
            body.clone(),
            meta,
            Vec::new(),
        )))
    }

    fn update(&self, body: &Body, paths: &[String], etag: &str) -> Result<Outcome, Refusal> {
        let head = self.current(etag)?;
        self.need(
            head,
            &[State::Draft],
            "a published record changes only by Correct, Retract or Merge",
        )?;
        let before = self.stored_body(head)?;
        let at = format!("writes[{}].update.update_mask", self.index);
        let mut merged = mask::apply(&before, body, paths, &at).map_err(Refusal::Invalid)?;
        let mut at = self.path("update", &merged);
        let violations = check_body(&mut merged, &mut at).violations;
        if !violations.is_empty() {
            return Err(Refusal::Invalid(violations));
        }
        let changed = mask::changed_fields(&before, &merged);
        if changed.is_empty() {
            return Ok(Outcome::Unchanged(
                self.name.clone(),
                head.standing.revision,
            ));
        }
        Ok(Outcome::Changed(self.change(
            ChangeType::Updated,
            State::Draft,
            merged,
            head.meta.clone(),
            changed,
        )))
    }

    fn delete(&self, etag: &str) -> Result<Outcome, Refusal> {
        let head = self.current(etag)?;
        self.need(
            head,
            &[State::Draft],
            "only drafts can be deleted; a published record can be retracted",
        )?;
        let body = self.stored_body(head)?;
        Ok(Outcome::Changed(self.change(
            ChangeType::Deleted,
            State::Draft,
            body,
            head.meta.clone(),
            Vec::new(),
        )))
    }

    fn publish(&self, etag: &str) -> Result<Outcome, Refusal> {
        let head = self.current(etag)?;
        if head.standing.state == State::Published {
            return Ok(Outcome::Unchanged(
                self.name.clone(),
                head.standing.revision,
            ));
        }
        self.need(
            head,
            &[State::Draft, State::InReview],
            "only drafts can be published",
        )?;
        let mut meta = head.meta.clone();
        meta.publish_time = Some(timestamp(self.now));
        let body = self.stored_body(head)?;
        Ok(Outcome::Changed(self.change(
            ChangeType::Published,
            State::Published,
            body,
            meta,
            Vec::new(),
        )))
    }

    fn retract(&self, etag: &str, note: &str) -> Result<Outcome, Refusal> {
        let head = self.current(etag)?;
        self.need(
            head,
            &[State::Published],
            "only published records can be retracted; a draft can be deleted",
        )?;
        let mut meta = head.meta.clone();
        meta.corrections.push(Correction {
            kind: correction::Kind::Retraction.into(),
            revision: head.standing.revision + 1,
            time: Some(timestamp(self.now)),
            note: note.to_owned(),
            changed_fields: Vec::new(),
        });
        let body = self.stored_body(head)?;
        let mut change = self.change(
            ChangeType::Retracted,
            State::Retracted,
            body,
            meta,
            Vec::new(),
        );
        change.note = note.to_owned();
        Ok(Outcome::Changed(change))
    }

    /// The head, if it is there and is the one that the caller read (W3).
    fn current(&self, etag: &str) -> Result<&Head, Refusal> {
        let head = self
            .head
            .filter(|head| !head.standing.deleted)
            .ok_or_else(|| Refusal::NotFound {
                name: self.name.clone(),
            })?;
        if head.meta.etag == etag {
            return Ok(head);
        }
        Err(Refusal::EtagMismatch {
            name: self.name.clone(),
            current: head.meta.etag.clone(),
            seen: revision_of_etag(etag, &head.meta.uid),
            changed_fields: Vec::new(),
        })
    }

    fn need(&self, head: &Head, states: &[State], instead: &'static str) -> Result<(), Refusal> {
        if states.contains(&head.standing.state) {
            return Ok(());
        }
        Err(Refusal::WrongState {
            name: self.name.clone(),
            state: head.standing.state,
            instead,
        })
    }

    fn stored_body(&self, head: &Head) -> Result<Body, Refusal> {
        match Body::decode(self.name.kind(), &head.content) {
            Ok(Some(body)) => Ok(body),
            Ok(None) | Err(_) => Err(Refusal::Corrupt {
                name: self.name.clone(),
            }),
        }
    }

    fn path(&self, action: &'static str, body: &Body) -> Path {
        let mut at = Path::default();
        at.enter("writes");
        at.index(self.index);
        at.enter(action);
        at.enter("record");
        at.enter(kind_field(body));
        at
    }

    /// The next revision, with its bookkeeping.
    fn change(
        &self,
        change_type: ChangeType,
        state: State,
        mut body: Body,
        mut meta: RecordMeta,
        changed_fields: Vec<String>,
    ) -> Change {
        let revision = self.head.map_or(0, |head| head.standing.revision) + 1;
        let uid = Uuid::try_parse(&meta.uid).unwrap_or(Uuid::nil());
        meta.revision = revision;
        meta.state = state.into();
        meta.etag = etag(revision, &meta.uid);
        meta.update_time = Some(timestamp(self.now));
        let content = body.to_content();
        Change {
            has_new_content: self.head.is_none_or(|head| head.content != content),
            name: self.name.clone(),
            uid,
            change_type,
            revision,
            state,
            state_before: self.head.map(|head| head.standing.state),
            content,
            meta,
            drawing: draw(&mut body, state),
            facets_before: self
                .head
                .map(|head| head.facets.clone())
                .unwrap_or_default(),
            days_before: self.head.and_then(|head| head.days),
            changed_fields,
            note: String::new(),
            body,
        }
    }
}

/// The etag of a revision: opaque to clients, and never the same for two records.
fn etag(revision: i64, uid: &str) -> String {
    format!("{revision}-{}", uid.rsplit('-').next().unwrap_or_default())
}

/// The revision that an etag of this record stands for.
fn revision_of_etag(text: &str, uid: &str) -> Option<i64> {
    let revision = text.split('-').next()?.parse().ok()?;
    (etag(revision, uid) == text).then_some(revision)
}

/// Nothing dangling and nothing without a source is published (W9). Answers with what was looked at.
fn check_publishing(outcomes: &[Outcome], world: &World) -> Result<Vec<(Name, i64)>, Refusal> {
    let published: HashMap<&Name, &Change> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Changed(change) if change.change_type == ChangeType::Published => {
                Some((&change.name, change))
            }
            Outcome::Changed(_) | Outcome::Unchanged(..) => None,
        })
        .collect();
    let withdrawn = |name: &Name| {
        outcomes.iter().any(|outcome| matches!(outcome, Outcome::Changed(change) if change.name == *name && is_tombstone(change.state)))
    };
    let mut read_set = Vec::new();
    let (mut unresolved, mut without_evidence) = (Vec::new(), Vec::new());
    for change in outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Changed(change) if published.contains_key(&change.name) => Some(change),
        Outcome::Changed(_) | Outcome::Unchanged(..) => None,
    }) {
        if change.body.evidence().is_some_and(<[_]>::is_empty) {
            without_evidence.push(change.name.clone());
        }
        for reference in change
            .drawing
            .references
            .iter()
            .filter(|reference| !published.contains_key(&reference.target))
        {
            let standing = world.standings.get(&reference.target);
            read_set.push((
                reference.target.clone(),
                standing.map_or(0, |standing| standing.revision),
            ));
            let is_published = standing
                .is_some_and(|standing| matches!(standing.state, State::Published | State::Merged));
            if !is_published || withdrawn(&reference.target) {
                unresolved.push(Unresolved {
                    source: change.name.clone(),
                    reference: reference.clone(),
                });
            }
        }
    }
    if !without_evidence.is_empty() {
        return Err(Refusal::MissingEvidence {
            names: without_evidence,
        });
    }
    if !unresolved.is_empty() {
        return Err(Refusal::UnresolvedReferences {
            references: unresolved,
        });
    }
    Ok(read_set)
}

/// The instant as protobuf writes it.
#[must_use]
pub fn timestamp(at: OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: at.unix_timestamp(),
        nanos: i32::try_from(at.nanosecond()).unwrap_or(0),
    }
}

impl Change {
    /// Stored form of the meta: without sequence, which depends on the feed that is read.
    #[must_use]
    pub fn meta_bytes(&self) -> Vec<u8> {
        self.meta.encode_to_vec()
    }
}
