//! Applies one write to the newest revision of its record: the states that allow it, and the next revision. The life
//! cycle of records is defined here, for all kinds alike. Effects on other records are checked in [`super::decide`].

use dateline_proto::v1::{
    RecordMeta, State, change::Type as ChangeType, correction, record::Kind as Body,
};
use dateline_record::{
    index::{IndexTerms, extract_terms},
    mask,
    name::Name,
    record::name_only,
    revision::Revision,
    state::is_visible,
    timestamp::timestamp,
    validate::check_body,
    violation::{Violation, Warning},
    walk::Path,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    change::{Change, Outcome},
    checked_view::CheckedView,
    erasure::ERASED,
    etag::Etag,
    read_view::Head,
    rejection::Rejection,
    request::{Action, Write, kind_field},
    revision::RevisionBuilder,
};

/// The result of a write.
pub(super) struct TransitionEffects {
    /// Outcome for the record itself.
    pub outcome: Outcome,
    /// Further change that it causes.
    pub other: Option<Change>,
    /// Warnings.
    pub warnings: Vec<Warning>,
}

impl From<Change> for TransitionEffects {
    fn from(change: Change) -> Self {
        Outcome::Changed(change).into()
    }
}

impl From<Outcome> for TransitionEffects {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            other: None,
            warnings: Vec::new(),
        }
    }
}

pub(super) type Result<T> = std::result::Result<T, Rejection>;

/// One write on one head.
pub(super) struct Transition<'a> {
    pub index: usize,
    pub write: &'a Write,
    pub read_view: &'a CheckedView<'a>,
    pub now: OffsetDateTime,
}

impl Transition<'_> {
    /// Returns the result of the write. `new_uid` makes a uid for a new record.
    pub(super) fn apply(&self, new_uid: &mut dyn FnMut() -> Uuid) -> Result<TransitionEffects> {
        match &self.write.action {
            Action::Create { body, terms } => self.create(body, terms, new_uid()),
            Action::Update { body, paths } => self.update(body, paths),
            Action::Delete => self.delete(),
            Action::Submit => self.submit(),
            Action::SendBack => self.send_back(),
            Action::Publish { embargo } => self.publish(*embargo),
            Action::Correct { body, paths, kind } => self.correct(body, paths, *kind),
            Action::Retract { .. } => self.retract(),
            Action::Merge { into, into_etag } => self.merge(into, into_etag),
            Action::Unmerge => self.unmerge(),
            Action::Restore { revision } => self.restore(*revision),
            Action::Purge { .. } => self.purge(),
            Action::Load { body, meta } => self.load(body, meta),
        }
    }

    /// Returns the newest revision of another database, with its number and times unchanged.
    fn load(&self, body: &Body, meta: &RecordMeta) -> Result<TransitionEffects> {
        let name = &self.write.name;
        let content = body.to_content();
        if let Some(head) = self.read_view.head(name)
            && (head.status.revision, head.status.state)
                == (Revision::new(meta.revision), meta.state())
            && (head.content == content
                || head.body.clone().without_pins() == body.clone().without_pins())
        {
            return Ok(self.unchanged(head));
        }
        self.require_new(body)?;
        let mut body = body.clone();
        let terms = extract_terms(&mut body, meta.state());
        Ok(self
            .revision_builder()
            .loaded(body, terms, meta.clone())
            .into())
    }

    /// Checks that the name was never used, and that no other article has the same original text.
    fn require_new(&self, body: &Body) -> Result<()> {
        let name = &self.write.name;
        if self.read_view.any_head(name).is_some() {
            return Err(Rejection::NameTaken { name: name.clone() });
        }
        if let Body::Article(article) = body
            && !article.original_sha256.is_empty()
            && let Some(existing) = self.read_view.original(&article.original_sha256)
        {
            return Err(Rejection::DuplicateOriginal {
                existing: existing.clone(),
            });
        }
        Ok(())
    }

    fn create(&self, body: &Body, terms: &IndexTerms, uid: Uuid) -> Result<TransitionEffects> {
        self.require_new(body)?;
        let meta = RecordMeta {
            uid: if uid.is_nil() {
                String::new()
            } else {
                uid.to_string()
            },
            create_time: Some(timestamp(self.now)),
            ..RecordMeta::default()
        };
        Ok(self
            .revision_builder()
            .build(
                None,
                ChangeType::Created,
                State::Draft,
                body.clone(),
                terms.clone(),
                meta,
            )
            .into())
    }

    fn update(&self, body: &Body, paths: &[String]) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let instead = match head.status.state {
            State::Published => "a published record changes only by Correct, Retract or Merge",
            state => edit_hint(state),
        };
        self.require_state(head, &[State::Draft], instead)?;
        self.edit(head, body, paths, ChangeType::Updated, |_, _| {})
    }

    fn correct(
        &self,
        body: &Body,
        paths: &[String],
        kind: correction::Kind,
    ) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let instead = "only published records are corrected; a draft is updated";
        self.require_state(head, &[State::Published], instead)?;
        self.edit(head, body, paths, ChangeType::Corrected, |meta, changed| {
            meta.corrections
                .push(self.revision_builder().correction(head, kind, changed));
        })
    }

    /// Returns the next revision with the masked fields of another body, checked as a whole.
    fn edit(
        &self,
        head: &Head,
        body: &Body,
        paths: &[String],
        change_type: ChangeType,
        note_down: impl FnOnce(&mut RecordMeta, &[String]),
    ) -> Result<TransitionEffects> {
        let word = self.write.action.field_name();
        let at = format!("writes[{}].{word}.update_mask", self.index);
        let merged = mask::apply(&head.body, body, paths, &at).map_err(Rejection::Invalid)?;
        self.replace(head, merged, change_type, note_down)
    }

    /// Returns the next revision with another body, checked as a whole.
    fn replace(
        &self,
        head: &Head,
        mut body: Body,
        change_type: ChangeType,
        note_down: impl FnOnce(&mut RecordMeta, &[String]),
    ) -> Result<TransitionEffects> {
        let mut at = self.path(&body);
        let found = check_body(&mut body, &mut at);
        if !found.violations.is_empty() {
            return Err(Rejection::Invalid(found.violations));
        }
        let changed = mask::changed_fields(&head.body, &body);
        if changed.is_empty() {
            return Ok(self.unchanged(head));
        }
        let state = head.status.state;
        let terms = extract_terms(&mut body, state);
        let mut meta = head.meta.clone();
        note_down(&mut meta, &changed);
        let mut change =
            self.revision_builder()
                .build(Some(head), change_type, state, body, terms, meta);
        change.changed_fields = changed;
        Ok(TransitionEffects {
            warnings: found.warnings,
            ..change.into()
        })
    }

    fn delete(&self) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let instead = "only drafts can be deleted; a published record can be retracted";
        self.require_state(head, &[State::Draft], instead)?;
        let meta = head.meta.clone();
        Ok(self
            .without_content(head, ChangeType::Deleted, State::Draft, meta)?
            .into())
    }

    /// Returns a revision with name and meta only, which no search finds.
    fn without_content(
        &self,
        head: &Head,
        change_type: ChangeType,
        state: State,
        meta: RecordMeta,
    ) -> Result<Change> {
        let kind = self.write.name.kind();
        let without_content = Body::decode(kind, &name_only(self.write.name.as_str()))
            .ok()
            .flatten();
        let mut body = without_content.ok_or_else(|| Rejection::Corrupt {
            name: self.write.name.clone(),
        })?;
        let terms = IndexTerms {
            keys: Vec::new(),
            ..extract_terms(&mut body, state)
        };
        let builder = self.revision_builder();
        Ok(builder.build(Some(head), change_type, state, body, terms, meta))
    }

    fn submit(&self) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        if head.status.state == State::InReview {
            return Ok(self.unchanged(head));
        }
        self.require_state(head, &[State::Draft], "only drafts are submitted")?;
        Ok(self
            .with_state(head, ChangeType::Submitted, State::InReview)
            .into())
    }

    fn send_back(&self) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let instead = "only what is in review or under embargo is sent back";
        self.require_state(head, &[State::InReview, State::Embargoed], instead)?;
        let mut change = self.with_state(head, ChangeType::Returned, State::Draft);
        change.meta.embargo_time = None;
        Ok(change.into())
    }

    fn publish(&self, embargo: Option<OffsetDateTime>) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let state = head.status.state;
        let until = embargo.map(timestamp);
        if state == State::Published && until.is_none()
            || state == State::Embargoed && until.is_some() && head.meta.embargo_time == until
        {
            return Ok(self.unchanged(head));
        }
        let open = [State::Draft, State::InReview, State::Embargoed];
        self.require_state(
            head,
            &open,
            "only drafts, and what is in review or under embargo, can be published",
        )?;
        let mut change = match until {
            Some(_) => self.with_state(head, ChangeType::Embargoed, State::Embargoed),
            None => self.with_state(head, ChangeType::Published, State::Published),
        };
        match until {
            // Kept when it has passed or is lifted: readers may see how long the record was under embargo.
            Some(_) => change.meta.embargo_time = until,
            None => change.meta.publish_time = Some(timestamp(self.now)),
        }
        Ok(change.into())
    }

    fn retract(&self) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let instead = "only published records can be retracted; a draft can be deleted";
        self.require_state(head, &[State::Published], instead)?;
        Ok(self.revision_builder().retraction(head).into())
    }

    fn restore(&self, revision: Revision) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        let instead = edit_hint(head.status.state);
        self.require_state(head, &[State::Draft, State::Published], instead)?;
        let published = head.status.state == State::Published;
        if published && self.write.note.is_empty() {
            return Err(self.invalid(
                "restore.note",
                "must say for readers what changes and why: the record is published",
            ));
        }
        let wanted = (self.write.name.clone(), revision);
        let Some(body) = self.read_view.body(&wanted) else {
            let newest = head.status.revision;
            let what = format!("there is no such revision; there are 1 to {newest}");
            return Err(self.invalid("restore.revision", what));
        };
        self.replace(head, body.clone(), ChangeType::Restored, |meta, changed| {
            if published {
                let kind = correction::Kind::Correction;
                meta.corrections
                    .push(self.revision_builder().correction(head, kind, changed));
            }
        })
    }

    /// Erases the content and all notes on it (W11). A deleted draft can be erased too, because its earlier revisions
    /// still exist.
    fn purge(&self) -> Result<TransitionEffects> {
        let there = self.read_view.any_head(&self.write.name);
        let head = require_etag(&self.write.name, there, &self.write.etag)?;
        let state = match head.status.state {
            State::Published => State::Retracted,
            // Nothing is left to publish when the embargo ends.
            State::Embargoed => State::Draft,
            state => state,
        };
        let mut meta = head.meta.clone();
        for correction in &mut meta.corrections {
            ERASED.clone_into(&mut correction.note);
        }
        if is_visible(head.status.state) {
            meta.corrections.push(self.revision_builder().correction(
                head,
                correction::Kind::Retraction,
                &[],
            ));
        }
        let mut change = self.without_content(head, ChangeType::Purged, state, meta)?;
        change.facets_before = Vec::new();
        change.days_before = None;
        Ok(change.into())
    }

    /// Returns a revision with the same content in the next state.
    pub(super) fn with_state(&self, head: &Head, change_type: ChangeType, state: State) -> Change {
        self.revision_builder()
            .with_state(head, change_type, state, head.meta.clone())
    }

    pub(super) fn revision_builder(&self) -> RevisionBuilder<'_> {
        RevisionBuilder {
            name: &self.write.name,
            now: self.now,
            note: &self.write.note,
        }
    }

    fn unchanged(&self, head: &Head) -> TransitionEffects {
        Outcome::Unchanged(self.write.name.clone(), head.status.revision).into()
    }

    pub(super) fn current_head(&self) -> Result<&Head> {
        current_head(self.read_view, &self.write.name, &self.write.etag)
    }

    pub(super) fn require_state(
        &self,
        head: &Head,
        states: &[State],
        instead: &'static str,
    ) -> Result<()> {
        require_state(&self.write.name, head, states, instead)
    }

    fn invalid(&self, field: &str, description: impl Into<String>) -> Rejection {
        let field = format!("writes[{}].{field}", self.index);
        Rejection::Invalid(vec![Violation::new(field, description)])
    }

    fn path(&self, body: &Body) -> Path {
        let mut at = Path::default();
        at.enter("writes");
        at.index(self.index);
        at.enter(self.write.action.field_name());
        at.enter("record");
        at.enter(kind_field(body));
        at
    }
}

/// Returns advice on changing a record that is neither a draft nor published.
fn edit_hint(state: State) -> &'static str {
    match state {
        State::InReview | State::Embargoed => "send it back first, to make it a draft again",
        State::Merged => "unmerge it first, or change the record that took its place",
        State::Retracted => {
            "what was retracted stays so; its content can be published again as a new record, under another name"
        }
        _ => "its content does not change any more",
    }
}

/// Returns the head, if the record exists and the caller read this revision (W3).
pub(super) fn current_head<'a>(
    read_view: &'a CheckedView<'a>,
    name: &Name,
    etag: &Etag,
) -> Result<&'a Head> {
    require_etag(name, read_view.head(name), etag)
}

fn require_etag<'a>(name: &Name, head: Option<&'a Head>, etag: &Etag) -> Result<&'a Head> {
    let head = head.ok_or_else(|| Rejection::NotFound { name: name.clone() })?;
    if head.meta.etag == etag.as_str() {
        return Ok(head);
    }
    Err(Rejection::EtagMismatch {
        name: name.clone(),
        current: head.meta.etag.clone().into(),
        seen: etag.revision(&head.meta.uid),
        changed_paths: Vec::new(),
    })
}

pub(super) fn require_state(
    name: &Name,
    head: &Head,
    states: &[State],
    instead: &'static str,
) -> Result<()> {
    if states.contains(&head.status.state) {
        return Ok(());
    }
    Err(Rejection::WrongState {
        name: name.clone(),
        state: head.status.state,
        instead,
    })
}
