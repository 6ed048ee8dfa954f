//! Checks of records that become visible (W9): every record that they refer to is published before or with them, every
//! fact has a source, and no event is part of itself.

use std::collections::{HashMap, HashSet};

use dateline_proto::v1::{
    State, change::Type as ChangeType, event_link, evidence::Modality, record::Kind as Body,
};
use dateline_record::name::Name;

use super::{
    change::{Change, ReadSet},
    checked_view::CheckedView,
    decide::ChangeSet,
    rejection::{Rejection, UnresolvedReference},
};

/// Longest chain of merges that is followed.
pub(super) const MAX_MERGES: usize = 64;

/// The records that a batch makes visible, and those that it withdraws.
pub(super) struct PublicationCheck<'a> {
    read_view: &'a CheckedView<'a>,
    /// Records that the batch leaves published or under embargo.
    visible: HashMap<&'a Name, &'a Change>,
    /// New revisions of the batch that readers see, now or later.
    checked: Vec<&'a Change>,
    /// Every change of the batch.
    changes: HashMap<&'a Name, &'a Change>,
}

impl<'a> PublicationCheck<'a> {
    pub(super) fn new(change_set: &'a ChangeSet<'_>, read_view: &'a CheckedView<'a>) -> Self {
        let all: Vec<_> = change_set
            .changes()
            .map(|(_, change)| change)
            .chain(&change_set.others)
            .collect();
        let visible = all.iter().filter(|change| becomes_visible(change));
        let checked = all
            .iter()
            .filter(|change| becomes_visible(change) && needs_check(change));
        Self {
            read_view,
            visible: visible.map(|change| (&change.name, *change)).collect(),
            checked: checked.copied().collect(),
            changes: all.iter().map(|change| (&change.name, *change)).collect(),
        }
    }

    /// Checks the batch, and adds the records that were read to the read set. `unreadable` are the pins that readers
    /// cannot follow.
    pub(super) fn check(
        &self,
        unreadable: &[UnresolvedReference],
        read_set: &mut ReadSet,
    ) -> Result<(), Rejection> {
        let without = self.checked.iter().filter(|change| !has_evidence(change));
        let names: Vec<_> = without.map(|change| change.name.clone()).collect();
        if !names.is_empty() {
            return Err(Rejection::MissingEvidence { names });
        }
        let mut references = self.unresolved(read_set);
        references.extend_from_slice(unreadable);
        if !references.is_empty() {
            return Err(Rejection::UnresolvedReferences { references });
        }
        for change in &self.checked {
            self.check_part_of(change, read_set)?;
        }
        Ok(())
    }

    /// Checks that no record depends on one that a cascade withdraws with the batch.
    pub(super) fn check_without(&self, cascaded: &[Change]) -> Result<(), Rejection> {
        let taken: HashSet<_> = cascaded.iter().map(|change| &change.name).collect();
        let mut references = Vec::new();
        for change in &self.checked {
            let lost = change.terms.references.iter();
            let lost = lost.filter(|reference| taken.contains(&reference.target));
            references.extend(lost.map(|reference| UnresolvedReference {
                source: change.name.clone(),
                reference: reference.clone(),
                why: None,
            }));
        }
        if references.is_empty() {
            Ok(())
        } else {
            Err(Rejection::UnresolvedReferences { references })
        }
    }

    fn unresolved(&self, read_set: &mut ReadSet) -> Vec<UnresolvedReference> {
        let mut unresolved = Vec::new();
        for change in &self.checked {
            for reference in &change.terms.references {
                if !self.resolves(change, &reference.target, read_set) {
                    unresolved.push(UnresolvedReference {
                        source: change.name.clone(),
                        reference: reference.clone(),
                        why: None,
                    });
                }
            }
        }
        unresolved
    }

    /// True if a record, or the one that it was merged into, is visible as soon as `change` is.
    fn resolves(&self, change: &Change, target: &Name, read_set: &mut ReadSet) -> bool {
        let mut target = target.clone();
        for _ in 0..MAX_MERGES {
            if let Some(with_it) = self.visible.get(&target) {
                return with_it.state == State::Published || opens_no_later(with_it, change);
            }
            let next = match self.changes.get(&target) {
                // Follows a merge; a record that is withdrawn or sent back is not visible.
                Some(merged) if merged.state == State::Merged => {
                    Name::parse(&merged.meta.merged_into)
                }
                Some(_) => return false,
                None => {
                    read_set
                        .revisions
                        .push((target.clone(), self.read_view.revision(&target)));
                    match self.read_view.status(&target) {
                        Some(status) if status.state == State::Merged => status.merged_into.clone(),
                        _ => return self.is_target_visible(change, &target),
                    }
                }
            };
            let Some(next) = next else { return false };
            target = next;
        }
        false
    }

    /// True if a stored record is visible as soon as `change` is.
    fn is_target_visible(&self, change: &Change, target: &Name) -> bool {
        let Some(status) = self.read_view.status(target) else {
            return false;
        };
        let is_embargoed_as_long = change.state == State::Embargoed
            && status.is_embargoed()
            && self.read_view.head(target).is_some_and(|head| {
                later_or_same(change.meta.embargo_time, head.meta.embargo_time)
            });
        status.is_published() || is_embargoed_as_long
    }

    /// Follows `PART_OF` upwards, through the batch and the store. Each event is visited once, however many paths lead
    /// to it: the number of paths multiplies with every layer, and all other writers wait for this decision.
    fn check_part_of(&self, change: &Change, read_set: &mut ReadSet) -> Result<(), Rejection> {
        let (mut path, mut passed) = (vec![change.name.clone()], HashSet::new());
        let mut open: Vec<_> = part_of(&change.body).map(|name| (1, name)).collect();
        while let Some((depth, name)) = open.pop() {
            path.truncate(depth);
            if name == change.name {
                return Err(Rejection::PartOfItself { names: path });
            }
            if !passed.insert(name.clone()) {
                continue;
            }
            path.push(name.clone());
            let body = if let Some(change) = self.changes.get(&name) {
                Some(&change.body)
            } else {
                if self.read_view.is_beyond_limit(&name) {
                    return Err(Rejection::PartOfTooDeep {
                        name: change.name.clone(),
                    });
                }
                read_set
                    .revisions
                    .push((name.clone(), self.read_view.revision(&name)));
                self.read_view.head(&name).map(|head| &head.body)
            };
            let further = body.into_iter().flat_map(part_of);
            open.extend(further.map(|name| (depth + 1, name)));
        }
        Ok(())
    }
}

/// Returns the events that an event is part of.
pub(super) fn part_of(body: &Body) -> impl Iterator<Item = Name> {
    let links = match body {
        Body::Event(event) => event.links.as_slice(),
        _ => &[],
    };
    let part_of = links
        .iter()
        .filter(|link| link.r#type() == event_link::Type::PartOf);
    part_of.filter_map(|link| Name::parse(&link.event))
}

fn becomes_visible(change: &Change) -> bool {
    matches!(change.state, State::Published | State::Embargoed)
}

/// True if the change has new content or a state that needs the check; the other side of a merge needs none.
fn needs_check(change: &Change) -> bool {
    change.has_new_content
        || matches!(
            change.change_type,
            ChangeType::Published | ChangeType::Embargoed | ChangeType::Unmerged
        )
}

fn has_evidence(change: &Change) -> bool {
    change.body.evidence().is_none_or(|entries| {
        entries
            .iter()
            .any(|entry| entry.modality() != Modality::Contradicts)
    })
}

fn opens_no_later(target: &Change, change: &Change) -> bool {
    change.state == State::Embargoed
        && later_or_same(change.meta.embargo_time, target.meta.embargo_time)
}

/// True if one embargo ends with the other or after it.
fn later_or_same(
    one: Option<prost_types::Timestamp>,
    other: Option<prost_types::Timestamp>,
) -> bool {
    let instant =
        |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
    instant(one) >= instant(other)
}
