//! Withdrawal of sources (domain rule 4): a published record must not lose its only source. If a cascade was requested,
//! it is withdrawn with the article; otherwise it prevents the withdrawal.

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{Kind, State, evidence::Modality, record::Kind as Body};
use dateline_record::{name::Name, state::is_tombstone};
use time::OffsetDateTime;

use super::{
    change::{Change, ReadSet},
    checked_view::CheckedView,
    decide::{ChangeSet, changes_twice},
    rejection::Rejection,
    request::{Action, Request, Write},
    revision::RevisionBuilder,
};

/// The articles that a batch withdraws.
pub(super) struct Withdrawal<'a> {
    change_set: &'a ChangeSet<'a>,
    read_view: &'a CheckedView<'a>,
    now: OffsetDateTime,
    /// Articles, each with the write that withdraws it.
    articles: BTreeMap<&'a Name, &'a Write>,
}

impl<'a> Withdrawal<'a> {
    pub(super) fn new(
        change_set: &'a ChangeSet<'a>,
        request: &'a Request,
        read_view: &'a CheckedView<'a>,
        now: OffsetDateTime,
    ) -> Self {
        let articles = change_set
            .changes()
            .filter(|(_, change)| withdraws_source(change));
        Self {
            change_set,
            read_view,
            now,
            articles: articles
                .map(|(index, change)| (&change.name, &request.writes[index]))
                .collect(),
        }
    }

    /// Returns the tombstones of records withdrawn with the articles, and adds the records that were read to the read
    /// set.
    pub(super) fn check(&self, read_set: &mut ReadSet) -> Result<Vec<Change>, Rejection> {
        let mut citing = BTreeSet::new();
        for article in self.articles.keys() {
            let cited_by = self.read_view.citing(article);
            let count = i64::try_from(cited_by.len()).unwrap_or(i64::MAX);
            read_set.citing.push(((*article).clone(), count));
            citing.extend(cited_by);
        }
        let (mut tombstones, mut unsupported, mut twice) = (Vec::new(), Vec::new(), Vec::new());
        for name in citing {
            read_set
                .revisions
                .push((name.clone(), self.read_view.revision(name)));
            let Some(article) = self.only_source_of(name, read_set) else {
                continue;
            };
            let write = self.articles[article];
            match (&write.action, self.read_view.head(name)) {
                (
                    Action::Retract { cascade: true } | Action::Purge { cascade: true },
                    Some(head),
                ) => {
                    twice.extend(self.change_set.change_of(name).map(|_| changes_twice(name)));
                    let builder = RevisionBuilder {
                        name,
                        now: self.now,
                        note: &write.note,
                    };
                    tombstones.push(builder.retraction(head));
                }
                _ => unsupported.push((name.clone(), article.clone())),
            }
        }
        if !unsupported.is_empty() {
            Err(Rejection::OnlyEvidence {
                records: unsupported,
            })
        } else if !twice.is_empty() {
            Err(Rejection::Invalid(twice))
        } else {
            Ok(tombstones)
        }
    }

    /// Returns one of the withdrawn articles that a record cites, if no other article supports it.
    fn only_source_of(&self, name: &Name, read_set: &mut ReadSet) -> Option<&'a Name> {
        let body = match self.change_set.change_of(name) {
            Some(change) if is_tombstone(change.state) => return None,
            Some(change) => &change.body,
            None => &self.read_view.head(name)?.body,
        };
        let mut lost = None;
        for source in supporting(body) {
            if let Some((article, _)) = self.articles.get_key_value(&source) {
                lost = lost.or(Some(*article));
                continue;
            }
            read_set
                .revisions
                .push((source.clone(), self.read_view.revision(&source)));
            let status = self.read_view.status(&source);
            if status.is_some_and(|status| status.state == State::Published) {
                return None;
            }
        }
        lost
    }
}

fn withdraws_source(change: &Change) -> bool {
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
