//! Applies one write to the newest revision of its record: the states that allow it, and the next revision. The life
//! cycle of records is defined here, for all kinds alike. Effects on other records are checked in [`super::decide`].

use dateline_proto::v1::{
    RecordMeta, State, change::Type as ChangeType, correction, record::Kind as Body,
};
use dateline_record::{
    drawing::{Drawing, draw},
    mask,
    name::Name,
    record::name_only,
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
    erasure::ERASED,
    next::{Next, revision_of_etag},
    refusal::Refusal,
    request::{Action, Write, kind_field},
    world::{Head, World},
};

/// The result of a write.
pub(super) struct Stepped {
    /// Outcome for the record itself.
    pub outcome: Outcome,
    /// Further change that it causes.
    pub other: Option<Change>,
    /// Warnings.
    pub warnings: Vec<Warning>,
}

impl From<Change> for Stepped {
    fn from(change: Change) -> Self {
        Outcome::Changed(change).into()
    }
}

impl From<Outcome> for Stepped {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            other: None,
            warnings: Vec::new(),
        }
    }
}

type Result<T> = std::result::Result<T, Refusal>;

/// One write on one head.
pub(super) struct Step<'a> {
    pub index: usize,
    pub write: &'a Write,
    pub world: &'a World,
    pub now: OffsetDateTime,
}

impl Step<'_> {
    /// Returns the result of the write. `mint` makes a uid for a new record.
    pub(super) fn take(&self, mint: &mut dyn FnMut() -> Uuid) -> Result<Stepped> {
        match &self.write.action {
            Action::Create { body, drawing } => self.create(body, drawing, mint()),
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
    fn load(&self, body: &Body, meta: &RecordMeta) -> Result<Stepped> {
        let name = &self.write.name;
        let content = body.to_content();
        if let Some(head) = self.world.head(name)
            && (head.standing.revision, head.standing.state) == (meta.revision, meta.state())
            && (head.content == content
                || head.body.clone().without_pins() == body.clone().without_pins())
        {
            return Ok(self.unchanged(head));
        }
        self.need_new(body)?;
        let mut body = body.clone();
        let drawing = draw(&mut body, meta.state());
        Ok(self.next().loaded(body, drawing, meta.clone()).into())
    }

    /// Checks that the name was never used, and that no other article has the same original text.
    fn need_new(&self, body: &Body) -> Result<()> {
        let name = &self.write.name;
        if self.world.heads.contains_key(name) {
            return Err(Refusal::NameTaken { name: name.clone() });
        }
        if let Body::Article(article) = body
            && let Some(existing) = self.world.originals.get(&article.original_sha256)
        {
            return Err(Refusal::DuplicateOriginal {
                existing: existing.clone(),
            });
        }
        Ok(())
    }

    fn create(&self, body: &Body, drawing: &Drawing, uid: Uuid) -> Result<Stepped> {
        self.need_new(body)?;
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
            .next()
            .revision(
                None,
                ChangeType::Created,
                State::Draft,
                body.clone(),
                drawing.clone(),
                meta,
            )
            .into())
    }

    fn update(&self, body: &Body, paths: &[String]) -> Result<Stepped> {
        let head = self.current()?;
        let instead = match head.standing.state {
            State::Published => "a published record changes only by Correct, Retract or Merge",
            state => changeable(state),
        };
        self.need(head, &[State::Draft], instead)?;
        self.edit(head, body, paths, ChangeType::Updated, |_, _| {})
    }

    fn correct(&self, body: &Body, paths: &[String], kind: correction::Kind) -> Result<Stepped> {
        let head = self.current()?;
        let instead = "only published records are corrected; a draft is updated";
        self.need(head, &[State::Published], instead)?;
        self.edit(head, body, paths, ChangeType::Corrected, |meta, changed| {
            meta.corrections
                .push(self.next().correction(head, kind, changed));
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
    ) -> Result<Stepped> {
        let word = self.write.action.word();
        let at = format!("writes[{}].{word}.update_mask", self.index);
        let merged = mask::apply(&head.body, body, paths, &at).map_err(Refusal::Invalid)?;
        self.replace(head, merged, change_type, note_down)
    }

    /// Returns the next revision with another body, checked as a whole.
    fn replace(
        &self,
        head: &Head,
        mut body: Body,
        change_type: ChangeType,
        note_down: impl FnOnce(&mut RecordMeta, &[String]),
    ) -> Result<Stepped> {
        let mut at = self.path(&body);
        let found = check_body(&mut body, &mut at);
        if !found.violations.is_empty() {
            return Err(Refusal::Invalid(found.violations));
        }
        let changed = mask::changed_fields(&head.body, &body);
        if changed.is_empty() {
            return Ok(self.unchanged(head));
        }
        let state = head.standing.state;
        let drawing = draw(&mut body, state);
        let mut meta = head.meta.clone();
        note_down(&mut meta, &changed);
        let mut change = self
            .next()
            .revision(Some(head), change_type, state, body, drawing, meta);
        change.changed_fields = changed;
        Ok(Stepped {
            warnings: found.warnings,
            ..change.into()
        })
    }

    fn delete(&self) -> Result<Stepped> {
        let head = self.current()?;
        let instead = "only drafts can be deleted; a published record can be retracted";
        self.need(head, &[State::Draft], instead)?;
        let meta = head.meta.clone();
        Ok(self
            .emptied(head, ChangeType::Deleted, State::Draft, meta)?
            .into())
    }

    /// Returns a revision with name and meta only, which no search finds.
    fn emptied(
        &self,
        head: &Head,
        change_type: ChangeType,
        state: State,
        meta: RecordMeta,
    ) -> Result<Change> {
        let kind = self.write.name.kind();
        let emptied = Body::decode(kind, &name_only(self.write.name.as_str()))
            .ok()
            .flatten();
        let mut body = emptied.ok_or_else(|| Refusal::Corrupt {
            name: self.write.name.clone(),
        })?;
        let drawing = Drawing {
            keys: Vec::new(),
            ..draw(&mut body, state)
        };
        let next = self.next();
        Ok(next.revision(Some(head), change_type, state, body, drawing, meta))
    }

    fn submit(&self) -> Result<Stepped> {
        let head = self.current()?;
        if head.standing.state == State::InReview {
            return Ok(self.unchanged(head));
        }
        self.need(head, &[State::Draft], "only drafts are submitted")?;
        Ok(self
            .moved(head, ChangeType::Submitted, State::InReview)
            .into())
    }

    fn send_back(&self) -> Result<Stepped> {
        let head = self.current()?;
        let instead = "only what is in review or under embargo is sent back";
        self.need(head, &[State::InReview, State::Embargoed], instead)?;
        let mut change = self.moved(head, ChangeType::Returned, State::Draft);
        change.meta.embargo_time = None;
        Ok(change.into())
    }

    fn publish(&self, embargo: Option<OffsetDateTime>) -> Result<Stepped> {
        let head = self.current()?;
        let state = head.standing.state;
        let until = embargo.map(timestamp);
        if state == State::Published && until.is_none()
            || state == State::Embargoed && until.is_some() && head.meta.embargo_time == until
        {
            return Ok(self.unchanged(head));
        }
        let open = [State::Draft, State::InReview, State::Embargoed];
        self.need(
            head,
            &open,
            "only drafts, and what is in review or under embargo, can be published",
        )?;
        let mut change = match until {
            Some(_) => self.moved(head, ChangeType::Embargoed, State::Embargoed),
            None => self.moved(head, ChangeType::Published, State::Published),
        };
        match until {
            // Kept when it has passed or is lifted: readers may see how long the record was under embargo.
            Some(_) => change.meta.embargo_time = until,
            None => change.meta.publish_time = Some(timestamp(self.now)),
        }
        Ok(change.into())
    }

    fn retract(&self) -> Result<Stepped> {
        let head = self.current()?;
        let instead = "only published records can be retracted; a draft can be deleted";
        self.need(head, &[State::Published], instead)?;
        Ok(self.next().retraction(head).into())
    }

    fn merge(&self, into: &Name, into_etag: &str) -> Result<Stepped> {
        let head = self.current()?;
        self.need(
            head,
            &[State::Published],
            "only published records are merged; a draft can be deleted",
        )?;
        let winner = current(self.world, into, into_etag)?;
        need(
            into,
            winner,
            &[State::Published],
            "a record is merged into a published one",
        )?;
        let mut loser = self.moved(head, ChangeType::Merged, State::Merged);
        loser.meta.merged_into = into.to_string();
        let taken =
            std::iter::once(self.write.name.to_string()).chain(head.meta.merged_from.clone());
        let mut meta = winner.meta.clone();
        meta.merged_from.extend(taken);
        Ok(Stepped {
            other: Some(self.other(into, winner, meta)),
            ..loser.into()
        })
    }

    fn unmerge(&self) -> Result<Stepped> {
        let head = self.current()?;
        self.need(head, &[State::Merged], "only merged records are unmerged")?;
        let corrupt = || Refusal::Corrupt {
            name: self.write.name.clone(),
        };
        let into = Name::parse(&head.meta.merged_into).ok_or_else(corrupt)?;
        let winner = self.world.head(&into).ok_or_else(corrupt)?;
        need(
            &into,
            winner,
            &[State::Published],
            "a record is taken out of a published one; unmerge that one first",
        )?;
        let mut back = self.moved(head, ChangeType::Unmerged, State::Published);
        back.meta.merged_into = String::new();
        let mut meta = winner.meta.clone();
        meta.merged_from.retain(|name| {
            *name != self.write.name.as_str() && !head.meta.merged_from.contains(name)
        });
        Ok(Stepped {
            other: Some(self.other(&into, winner, meta)),
            ..back.into()
        })
    }

    /// Returns the change of the other side of a merge: its content stays, its meta records the merge.
    fn other(&self, name: &Name, head: &Head, meta: RecordMeta) -> Change {
        let next = Next {
            name,
            ..self.next()
        };
        let mut change = next.moved(head, ChangeType::Corrected, head.standing.state, meta);
        change.changed_fields = vec!["meta.merged_from".to_owned()];
        change
    }

    fn restore(&self, revision: i64) -> Result<Stepped> {
        let head = self.current()?;
        let instead = changeable(head.standing.state);
        self.need(head, &[State::Draft, State::Published], instead)?;
        let published = head.standing.state == State::Published;
        if published && self.write.note.is_empty() {
            return Err(self.invalid(
                "restore.note",
                "must say for readers what changes and why: the record is published",
            ));
        }
        let wanted = (self.write.name.clone(), revision);
        let Some(body) = self.world.revisions.get(&wanted) else {
            let newest = head.standing.revision;
            let what = format!("there is no such revision; there are 1 to {newest}");
            return Err(self.invalid("restore.revision", what));
        };
        self.replace(head, body.clone(), ChangeType::Restored, |meta, changed| {
            if published {
                let kind = correction::Kind::Correction;
                meta.corrections
                    .push(self.next().correction(head, kind, changed));
            }
        })
    }

    /// Erases the content and all notes on it (W11). A deleted draft can be erased too, because its earlier revisions
    /// still exist.
    fn purge(&self) -> Result<Stepped> {
        let there = self.world.heads.get(&self.write.name);
        let head = as_read(&self.write.name, there, &self.write.etag)?;
        let state = match head.standing.state {
            State::Published => State::Retracted,
            // Nothing is left to publish when the embargo ends.
            State::Embargoed => State::Draft,
            state => state,
        };
        let mut meta = head.meta.clone();
        for correction in &mut meta.corrections {
            ERASED.clone_into(&mut correction.note);
        }
        if is_visible(head.standing.state) {
            meta.corrections.push(
                self.next()
                    .correction(head, correction::Kind::Retraction, &[]),
            );
        }
        let mut change = self.emptied(head, ChangeType::Purged, state, meta)?;
        change.facets_before = Vec::new();
        change.days_before = None;
        Ok(change.into())
    }

    /// Returns a revision with the same content in the next state.
    fn moved(&self, head: &Head, change_type: ChangeType, state: State) -> Change {
        self.next()
            .moved(head, change_type, state, head.meta.clone())
    }

    fn next(&self) -> Next<'_> {
        Next {
            name: &self.write.name,
            now: self.now,
            note: &self.write.note,
        }
    }

    fn unchanged(&self, head: &Head) -> Stepped {
        Outcome::Unchanged(self.write.name.clone(), head.standing.revision).into()
    }

    fn current(&self) -> Result<&Head> {
        current(self.world, &self.write.name, &self.write.etag)
    }

    fn need(&self, head: &Head, states: &[State], instead: &'static str) -> Result<()> {
        need(&self.write.name, head, states, instead)
    }

    fn invalid(&self, field: &str, description: impl Into<String>) -> Refusal {
        let field = format!("writes[{}].{field}", self.index);
        Refusal::Invalid(vec![Violation::new(field, description)])
    }

    fn path(&self, body: &Body) -> Path {
        let mut at = Path::default();
        at.enter("writes");
        at.index(self.index);
        at.enter(self.write.action.word());
        at.enter("record");
        at.enter(kind_field(body));
        at
    }
}

/// Returns advice on changing a record that is neither a draft nor published.
fn changeable(state: State) -> &'static str {
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
pub(super) fn current<'a>(world: &'a World, name: &Name, etag: &str) -> Result<&'a Head> {
    as_read(name, world.head(name), etag)
}

fn as_read<'a>(name: &Name, head: Option<&'a Head>, etag: &str) -> Result<&'a Head> {
    let head = head.ok_or_else(|| Refusal::NotFound { name: name.clone() })?;
    if head.meta.etag == etag {
        return Ok(head);
    }
    Err(Refusal::EtagMismatch {
        name: name.clone(),
        current: head.meta.etag.clone(),
        seen: revision_of_etag(etag, &head.meta.uid),
        changed_paths: Vec::new(),
    })
}

fn need(name: &Name, head: &Head, states: &[State], instead: &'static str) -> Result<()> {
    if states.contains(&head.standing.state) {
        return Ok(());
    }
    Err(Refusal::WrongState {
        name: name.clone(),
        state: head.standing.state,
        instead,
    })
}
