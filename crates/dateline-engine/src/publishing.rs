//! Checks of records that become visible (W9): every record that they refer to is published before or with them, every
//! fact has a source, and no event is part of itself.

use std::collections::{HashMap, HashSet};

use dateline_proto::v1::{
    State, change::Type as ChangeType, event_link, evidence::Modality, record::Kind as Body,
};
use dateline_record::name::Name;

use super::{
    change::{Change, Seen},
    decide::Plan,
    refusal::{Refusal, Unresolved},
    world::World,
};

/// Longest chain of merges that is followed.
const MAX_MERGES: usize = 64;

/// The records that a batch makes visible, and those that it withdraws.
pub(super) struct Publishing<'a> {
    world: &'a World,
    /// Records that the batch leaves published or under embargo.
    shown: HashMap<&'a Name, &'a Change>,
    /// New revisions of the batch that readers see, now or later.
    checked: Vec<&'a Change>,
    /// Every change of the batch.
    changes: HashMap<&'a Name, &'a Change>,
}

impl<'a> Publishing<'a> {
    pub(super) fn of(plan: &'a Plan<'_>, world: &'a World) -> Self {
        let all: Vec<_> = plan
            .changes()
            .map(|(_, change)| change)
            .chain(&plan.others)
            .collect();
        let shown = all.iter().filter(|change| will_show(change));
        let checked = all
            .iter()
            .filter(|change| will_show(change) && needs_check(change));
        Self {
            world,
            shown: shown.map(|change| (&change.name, *change)).collect(),
            checked: checked.copied().collect(),
            changes: all.iter().map(|change| (&change.name, *change)).collect(),
        }
    }

    /// Checks the batch, and adds the records that were read to the read set. `unreadable` are the pins that readers
    /// cannot follow.
    pub(super) fn check(&self, unreadable: &[Unresolved], seen: &mut Seen) -> Result<(), Refusal> {
        let without = self.checked.iter().filter(|change| !has_evidence(change));
        let names: Vec<_> = without.map(|change| change.name.clone()).collect();
        if !names.is_empty() {
            return Err(Refusal::MissingEvidence { names });
        }
        let mut references = self.unresolved(seen);
        references.extend_from_slice(unreadable);
        if !references.is_empty() {
            return Err(Refusal::UnresolvedReferences { references });
        }
        for change in &self.checked {
            self.check_part_of(change, seen)?;
        }
        Ok(())
    }

    /// Checks that no record depends on one that a cascade withdraws with the batch.
    pub(super) fn check_without(&self, cascaded: &[Change]) -> Result<(), Refusal> {
        let taken: HashSet<_> = cascaded.iter().map(|change| &change.name).collect();
        let mut references = Vec::new();
        for change in &self.checked {
            let lost = change.drawing.references.iter();
            let lost = lost.filter(|reference| taken.contains(&reference.target));
            references.extend(lost.map(|reference| Unresolved {
                source: change.name.clone(),
                reference: reference.clone(),
                why: None,
            }));
        }
        if references.is_empty() {
            Ok(())
        } else {
            Err(Refusal::UnresolvedReferences { references })
        }
    }

    fn unresolved(&self, seen: &mut Seen) -> Vec<Unresolved> {
        let mut unresolved = Vec::new();
        for change in &self.checked {
            for reference in &change.drawing.references {
                if !self.resolves(change, &reference.target, seen) {
                    unresolved.push(Unresolved {
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
    fn resolves(&self, change: &Change, target: &Name, seen: &mut Seen) -> bool {
        let mut target = target.clone();
        for _ in 0..MAX_MERGES {
            if let Some(with_it) = self.shown.get(&target) {
                return with_it.state == State::Published || opens_no_later(with_it, change);
            }
            let next = match self.changes.get(&target) {
                // Follows a merge; a record that is withdrawn or sent back is not visible.
                Some(merged) if merged.state == State::Merged => {
                    Name::parse(&merged.meta.merged_into)
                }
                Some(_) => return false,
                None => {
                    seen.revisions
                        .push((target.clone(), self.world.revision(&target)));
                    match self.world.standings.get(&target) {
                        Some(standing) if standing.state == State::Merged => {
                            standing.merged_into.clone()
                        }
                        _ => return self.is_shown(change, &target),
                    }
                }
            };
            let Some(next) = next else { return false };
            target = next;
        }
        false
    }

    /// True if a stored record is visible as soon as `change` is.
    fn is_shown(&self, change: &Change, target: &Name) -> bool {
        let Some(standing) = self.world.standings.get(target) else {
            return false;
        };
        let hidden_as_long = standing.state == State::Embargoed
            && self.world.head(target).is_some_and(|head| {
                change.state == State::Embargoed
                    && later_or_same(change.meta.embargo_time, head.meta.embargo_time)
            });
        standing.is_published() || hidden_as_long
    }

    /// Follows `PART_OF` upwards, through the batch and the store. Each event is visited once, however many paths lead
    /// to it: the number of paths multiplies with every layer, and all other writers wait for this decision.
    fn check_part_of(&self, change: &Change, seen: &mut Seen) -> Result<(), Refusal> {
        let (mut way, mut passed) = (vec![change.name.clone()], HashSet::new());
        let mut open: Vec<_> = part_of(&change.body).map(|name| (1, name)).collect();
        while let Some((depth, name)) = open.pop() {
            way.truncate(depth);
            if name == change.name {
                return Err(Refusal::PartOfItself { names: way });
            }
            if !passed.insert(name.clone()) {
                continue;
            }
            way.push(name.clone());
            let body = if let Some(change) = self.changes.get(&name) {
                Some(&change.body)
            } else {
                // An event that was not prefetched is beyond the depth limit.
                if !self.world.looked.heads.contains(&name) {
                    return Err(Refusal::PartOfTooDeep {
                        name: change.name.clone(),
                    });
                }
                seen.revisions
                    .push((name.clone(), self.world.revision(&name)));
                self.world.head(&name).map(|head| &head.body)
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

fn will_show(change: &Change) -> bool {
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
