//! Builds a record's next revision: its number, etag, times and the bookkeeping of its meta. Does not check whether the
//! change is allowed.

use dateline_proto::v1::{
    Correction, RecordMeta, State, change::Type as ChangeType, correction, record::Kind as Body,
};
use dateline_record::{
    digest::record_lanes, index::IndexTerms, name::Name, revision::Revision, timestamp::timestamp,
};
use prost::Message;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{change::Change, etag::Etag, read_view::Head};

/// Most bytes of a record's meta.
pub(super) const MAX_META_BYTES: usize = 1024 * 1024;

/// Builder of a record's next revision.
pub(super) struct RevisionBuilder<'a> {
    pub name: &'a Name,
    pub now: OffsetDateTime,
    pub note: &'a str,
}

impl RevisionBuilder<'_> {
    /// Returns a revision with the same content in another state.
    pub(super) fn with_state(
        &self,
        head: &Head,
        change_type: ChangeType,
        state: State,
        meta: RecordMeta,
    ) -> Change {
        let terms = head.terms().in_state(state);
        self.build(
            Some(head),
            change_type,
            state,
            head.body.clone(),
            terms,
            meta,
        )
    }

    /// Returns the tombstone of a published record.
    pub(super) fn retraction(&self, head: &Head) -> Change {
        let mut meta = head.meta.clone();
        meta.corrections
            .push(self.correction(head, correction::Kind::Retraction, &[]));
        self.with_state(head, ChangeType::Retracted, State::Retracted, meta)
    }

    pub(super) fn correction(
        &self,
        head: &Head,
        kind: correction::Kind,
        changed: &[String],
    ) -> Correction {
        Correction {
            kind: kind.into(),
            revision: head.status.revision.next().get(),
            time: Some(timestamp(self.now)),
            note: self.note.to_owned(),
            changed_fields: changed.to_vec(),
        }
    }

    /// Returns a revision as another database had it, with its number, state and times.
    pub(super) fn loaded(&self, body: Body, terms: IndexTerms, meta: RecordMeta) -> Change {
        let (revision, state) = (Revision::new(meta.revision), meta.state());
        let change_type = match state {
            State::Unspecified | State::Draft => ChangeType::Created,
            State::InReview => ChangeType::Submitted,
            State::Embargoed => ChangeType::Embargoed,
            State::Published => ChangeType::Published,
            State::Retracted => ChangeType::Retracted,
            State::Merged => ChangeType::Merged,
        };
        let update_time = meta.update_time;
        let mut change = self.build(None, change_type, state, body, terms, meta);
        change.revision = revision;
        change.meta.revision = revision.get();
        change.meta.update_time = update_time;
        change.meta.etag = Etag::new(revision, &change.meta.uid).to_string();
        change
    }

    /// Returns the next revision, with its bookkeeping.
    pub(super) fn build(
        &self,
        head: Option<&Head>,
        change_type: ChangeType,
        state: State,
        body: Body,
        terms: IndexTerms,
        mut meta: RecordMeta,
    ) -> Change {
        let before = head.map_or(Revision::NONE, |head| head.status.revision);
        let revision = before.next();
        meta.revision = revision.get();
        meta.state = state.into();
        meta.etag = Etag::new(revision, &meta.uid).to_string();
        meta.update_time = Some(timestamp(self.now));
        drop_oldest_corrections(&mut meta);
        let content = body.to_content();
        Change {
            name: self.name.clone(),
            uid: Uuid::try_parse(&meta.uid).unwrap_or(Uuid::nil()),
            change_type,
            revision,
            state,
            state_before: head.map(|head| head.status.state),
            has_new_content: head.is_none_or(|head| head.content != content),
            content,
            meta,
            terms,
            previous: head.and_then(|head| head.wire_sequence),
            facets_before: head.map(|head| head.facets.clone()).unwrap_or_default(),
            days_before: head.and_then(|head| head.days),
            changed_fields: Vec::new(),
            note: self.note.to_owned(),
            // A deleted draft left the tally when it was deleted.
            lanes_before: head
                .filter(|head| !head.status.deleted)
                .map(|head| record_lanes(head.status.revision, [head.content.as_slice()])),
            body,
        }
    }
}

/// Drops the oldest notes until the meta fits, so that a record that was corrected for years can still be read and
/// withdrawn. The log keeps the notes.
fn drop_oldest_corrections(meta: &mut RecordMeta) {
    let mut bytes = meta.encoded_len();
    let oldest = meta.corrections.iter().take_while(|correction| {
        let is_too_much = bytes > MAX_META_BYTES;
        bytes = bytes.saturating_sub(correction.encoded_len());
        is_too_much
    });
    let count = oldest.count();
    meta.corrections.drain(..count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_as_many_of_the_oldest_notes_are_dropped_as_it_takes() {
        let correction = |number: usize| Correction {
            note: format!("{number} {}", "x".repeat(2000)),
            ..Correction::default()
        };
        let mut meta = RecordMeta {
            corrections: (0..600).map(correction).collect(),
            ..RecordMeta::default()
        };
        drop_oldest_corrections(&mut meta);
        let bytes = meta.encoded_len();
        assert!((MAX_META_BYTES - 2100..=MAX_META_BYTES).contains(&bytes));
        assert!(meta.corrections.last().unwrap().note.starts_with("599 "));
        let few = meta.clone();
        drop_oldest_corrections(&mut meta);
        assert_eq!(meta, few);
    }
}
