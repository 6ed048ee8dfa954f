//! What becomes visible must stand by itself (W9): every record it refers to is published before or with it,
//! every fact has a source, and no event is part of itself.

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

/// What a batch makes visible, and what it takes away.
pub(super) struct Publishing<'a> {
    world: &'a World,
    /// Records that the batch leaves in a state that counts: published, or about to be.
    shown: HashMap<&'a Name, &'a Change>,
    /// New revisions of the batch that readers see, or will.
    checked: Vec<&'a Change>,
    /// Everything that changes.
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

    /// Checks the batch, and notes down what it rests on. `unreadable` are the pins that readers could not follow.
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

    /// Checks that nothing rests on what a cascade takes away with the batch.
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

    /// Whether a record, or what it was merged into, will be there for readers as soon as `change` is.
    fn resolves(&self, change: &Change, target: &Name, seen: &mut Seen) -> bool {
        let mut target = target.clone();
        for _ in 0..MAX_MERGES {
            if let Some(with_it) = self.shown.get(&target) {
                return with_it.state == State::Published || opens_no_later(with_it, change);
            }
            let next = match self.changes.get(&target) {
                // A merge leads on; what is withdrawn or sent back is nothing to rely on.
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

    /// Whether a stored record is there for readers as soon as `change` is.
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

    /// Follows `PART_OF` upwards, through the batch and the store. Each event is passed once, however many ways lead
    /// to it: ways multiply with every layer, and this is decided while all other writers wait.
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
                // What was not looked at lies further up than anybody looks.
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

/// The events that an event says it is part of.
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

/// The other side of a merge says nothing new.
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

/// Whether one embargo ends with the other or after it.
fn later_or_same(
    one: Option<prost_types::Timestamp>,
    other: Option<prost_types::Timestamp>,
) -> bool {
    let instant =
        |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
    instant(one) >= instant(other)
}
