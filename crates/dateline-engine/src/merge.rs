//! Merges: one record takes another's place, and gives it back. Part of the life cycle in [`super::transition`], and the
//! only part that changes two records.

use dateline_proto::v1::{RecordMeta, State, change::Type as ChangeType};
use dateline_record::name::Name;

use super::{
    change::Change,
    etag::Etag,
    read_view::Head,
    rejection::Rejection,
    revision::RevisionBuilder,
    transition::{Result, Transition, TransitionEffects, current_head, require_state},
};

impl Transition<'_> {
    pub(super) fn merge(&self, into: &Name, into_etag: &Etag) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        self.require_state(
            head,
            &[State::Published],
            "only published records are merged; a draft can be deleted",
        )?;
        let winner = current_head(self.read_view, into, into_etag)?;
        require_state(
            into,
            winner,
            &[State::Published],
            "a record is merged into a published one",
        )?;
        let mut loser = self.with_state(head, ChangeType::Merged, State::Merged);
        loser.meta.merged_into = into.to_string();
        let taken =
            std::iter::once(self.write.name.to_string()).chain(head.meta.merged_from.clone());
        let mut meta = winner.meta.clone();
        meta.merged_from.extend(taken);
        Ok(TransitionEffects {
            other: Some(self.other(into, winner, meta)),
            ..loser.into()
        })
    }

    pub(super) fn unmerge(&self) -> Result<TransitionEffects> {
        let head = self.current_head()?;
        self.require_state(head, &[State::Merged], "only merged records are unmerged")?;
        let corrupt = || Rejection::Corrupt {
            name: self.write.name.clone(),
        };
        let into = Name::parse(&head.meta.merged_into).ok_or_else(corrupt)?;
        let winner = self.read_view.head(&into).ok_or_else(corrupt)?;
        require_state(
            &into,
            winner,
            &[State::Published],
            "a record is taken out of a published one; unmerge that one first",
        )?;
        let mut back = self.with_state(head, ChangeType::Unmerged, State::Published);
        back.meta.merged_into = String::new();
        let mut meta = winner.meta.clone();
        meta.merged_from.retain(|name| {
            *name != self.write.name.as_str() && !head.meta.merged_from.contains(name)
        });
        Ok(TransitionEffects {
            other: Some(self.other(&into, winner, meta)),
            ..back.into()
        })
    }

    /// Returns the change of the other side of a merge: its content stays, its meta records the merge.
    fn other(&self, name: &Name, head: &Head, meta: RecordMeta) -> Change {
        let builder = RevisionBuilder {
            name,
            ..self.revision_builder()
        };
        let mut change = builder.with_state(head, ChangeType::Corrected, head.status.state, meta);
        change.changed_fields = vec!["meta.merged_from".to_owned()];
        change
    }
}
