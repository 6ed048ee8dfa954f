//! Withdrawal of sources (domain rule 4): a published record must not lose its only source. If a cascade was requested,
//! it is withdrawn with the article; otherwise it prevents the withdrawal.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{Kind, State, evidence::Modality, record::Kind as Body};
use dateline_record::{name::Name, state::is_tombstone};
use time::OffsetDateTime;

use super::{
    change::{Change, Seen},
    decide::{Plan, changes_twice},
    next::Next,
    refusal::Refusal,
    request::{Action, Request, Write},
    world::World,
};

/// The articles that a batch withdraws.
pub(super) struct Withdrawal<'a> {
    plan: &'a Plan<'a>,
    world: &'a World,
    now: OffsetDateTime,
    /// Articles, each with the write that withdraws it.
    articles: BTreeMap<&'a Name, &'a Write>,
}

impl<'a> Withdrawal<'a> {
    pub(super) fn of(
        plan: &'a Plan<'a>,
        request: &'a Request,
        world: &'a World,
        now: OffsetDateTime,
    ) -> Self {
        let articles = plan.changes().filter(|(_, change)| takes_a_source(change));
        Self {
            plan,
            world,
            now,
            articles: articles
                .map(|(index, change)| (&change.name, &request.writes[index]))
                .collect(),
        }
    }

    /// Returns the tombstones of records withdrawn with the articles, and adds the records that were read to the read
    /// set.
    pub(super) fn check(&self, seen: &mut Seen) -> Result<Vec<Change>, Refusal> {
        let mut citing = BTreeSet::new();
        for article in self.articles.keys() {
            let cited_by = self
                .world
                .citing
                .get(*article)
                .map_or(&[][..], Vec::as_slice);
            let count = i64::try_from(cited_by.len()).unwrap_or(i64::MAX);
            seen.citing.push(((*article).clone(), count));
            citing.extend(cited_by);
        }
        let (mut tombstones, mut bereft, mut twice) = (Vec::new(), Vec::new(), Vec::new());
        for name in citing {
            seen.revisions
                .push((name.clone(), self.world.revision(name)));
            let Some(article) = self.only_source_of(name, seen) else {
                continue;
            };
            let write = self.articles[article];
            match (&write.action, self.world.head(name)) {
                (
                    Action::Retract { cascade: true } | Action::Purge { cascade: true },
                    Some(head),
                ) => {
                    twice.extend(self.plan.change_of(name).map(|_| changes_twice(name)));
                    let next = Next {
                        name,
                        now: self.now,
                        note: &write.note,
                    };
                    tombstones.push(next.retraction(head));
                }
                _ => bereft.push((name.clone(), article.clone())),
            }
        }
        if !bereft.is_empty() {
            Err(Refusal::OnlyEvidence { records: bereft })
        } else if !twice.is_empty() {
            Err(Refusal::Invalid(twice))
        } else {
            Ok(tombstones)
        }
    }

    /// Returns one of the withdrawn articles that a record cites, if no other article supports it.
    fn only_source_of(&self, name: &Name, seen: &mut Seen) -> Option<&'a Name> {
        let body = match self.plan.change_of(name) {
            Some(change) if is_tombstone(change.state) => return None,
            Some(change) => &change.body,
            None => &self.world.head(name)?.body,
        };
        let mut lost = None;
        for source in supporting(body) {
            if let Some((article, _)) = self.articles.get_key_value(&source) {
                lost = lost.or(Some(*article));
                continue;
            }
            seen.revisions
                .push((source.clone(), self.world.revision(&source)));
            let standing = self.world.standings.get(&source);
            if standing.is_some_and(|standing| standing.state == State::Published) {
                return None;
            }
        }
        lost
    }
}

fn takes_a_source(change: &Change) -> bool {
    change.kind() == Kind::Article
        && is_tombstone(change.state)
        && change.state_before == Some(State::Published)
}

/// Returns the articles that support a record: those of all its evidence that does not contradict it.
pub(super) fn supporting(body: &Body) -> impl Iterator<Item = Name> {
    let entries = body.evidence().unwrap_or_default().iter();
    let supporting = entries.filter(|entry| entry.modality() != Modality::Contradicts);
    supporting.filter_map(|entry| Name::parse(&entry.article))
}
