//! The view of one decision, with a check of every lookup: data that was never read is not taken for data that does not
//! exist. A lookup without a read is answered as absent for the moment and recorded, and the decision then fails as a
//! whole, because a refusal by it could be wrong as well.

use std::{cell::RefCell, collections::BTreeSet};

use dateline_proto::v1::record::Kind as Body;
use dateline_record::{name::Name, revision::Revision};

use super::{
    read_plan::{Pin, ReadPlan},
    read_view::{Head, NoteCopy, ReadView, RecordStatus},
};

/// The data of a decision.
#[derive(Debug)]
pub(super) struct CheckedView<'v> {
    view: &'v ReadView,
    /// Keys that were looked up and never read.
    unread: RefCell<ReadPlan>,
}

impl<'v> CheckedView<'v> {
    pub(super) fn new(view: &'v ReadView) -> Self {
        Self {
            view,
            unread: RefCell::default(),
        }
    }

    /// Returns the keys that were looked up and never read; empty if nothing was forgotten.
    pub(super) fn into_unread(self) -> ReadPlan {
        self.unread.into_inner()
    }

    /// Returns the newest revision of a record that exists.
    pub(super) fn head(&self, name: &Name) -> Option<&'v Head> {
        self.any_head(name).filter(|head| !head.status.deleted)
    }

    /// Returns the newest revision of a record, also of a deleted draft.
    pub(super) fn any_head(&self, name: &Name) -> Option<&'v Head> {
        self.check(name, |plan| &plan.heads, |plan| &mut plan.heads);
        self.view.any_head_so_far(name)
    }

    /// True if the record is at the end of a chain of reads that is longer than the limit.
    pub(super) fn is_beyond_limit(&self, name: &Name) -> bool {
        self.view.beyond_limit().heads.contains(name)
    }

    /// Returns the status of a record, also of a deleted draft.
    pub(super) fn status(&self, name: &Name) -> Option<&'v RecordStatus> {
        if !self.view.read_so_far().has_status(name) && !self.view.beyond_limit().has_status(name) {
            self.unread.borrow_mut().statuses.insert(name.clone());
        }
        self.view.status_so_far(name)
    }

    /// Returns the revision of a record that a decision reads.
    pub(super) fn revision(&self, name: &Name) -> Revision {
        self.status(name)
            .map_or(Revision::NONE, |status| status.revision)
    }

    /// Returns the content of a numbered revision.
    pub(super) fn body(&self, pin: &Pin) -> Option<&'v Body> {
        self.check(pin, |plan| &plan.revisions, |plan| &mut plan.revisions);
        self.view.body_so_far(pin)
    }

    /// True if readers can read a numbered revision.
    pub(super) fn is_readable(&self, pin: &Pin) -> bool {
        self.check(pin, |plan| &plan.revisions, |plan| &mut plan.revisions);
        self.view.is_readable_so_far(pin)
    }

    /// Returns the first and the newest readable revision of an article with their contents, ascending.
    pub(super) fn readable_revisions(
        &self,
        article: &Name,
    ) -> impl Iterator<Item = (Revision, &'v Body)> + use<'v> {
        self.check(article, |plan| &plan.published, |plan| &mut plan.published);
        let (view, article) = (self.view, article.clone());
        let revisions = view.readable_so_far(&article).iter();
        revisions.filter_map(move |revision| {
            let body = view.body_so_far(&(article.clone(), *revision))?;
            Some((*revision, body))
        })
    }

    /// Returns existing records with a key.
    pub(super) fn similar(&self, key: i64) -> &'v [Name] {
        self.check(&key, |plan| &plan.keys, |plan| &mut plan.keys);
        self.view.similar_so_far(key)
    }

    /// Returns the article with an original text.
    pub(super) fn original(&self, hash: &str) -> Option<&'v Name> {
        let key = hash.to_owned();
        self.check(&key, |plan| &plan.originals, |plan| &mut plan.originals);
        self.view.original_so_far(hash)
    }

    /// Returns the published records that cite an article.
    pub(super) fn citing(&self, article: &Name) -> &'v [Name] {
        self.check(article, |plan| &plan.citing, |plan| &mut plan.citing);
        self.view.citing_so_far(article)
    }

    /// Returns the revisions of other records that carry a note of this one.
    pub(super) fn note_copies(&self, name: &Name) -> &'v [NoteCopy] {
        self.check(name, |plan| &plan.copies, |plan| &mut plan.copies);
        self.view.copies_so_far(name)
    }

    /// Records a key that was neither read nor left out because of the limit.
    fn check<K: Ord + Clone>(
        &self,
        key: &K,
        keys: impl Fn(&ReadPlan) -> &BTreeSet<K>,
        unread: impl Fn(&mut ReadPlan) -> &mut BTreeSet<K>,
    ) {
        if !keys(self.view.read_so_far()).contains(key)
            && !keys(self.view.beyond_limit()).contains(key)
        {
            unread(&mut self.unread.borrow_mut()).insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn article() -> Name {
        name("articles/a")
    }

    type Lookup = fn(&CheckedView<'_>);

    /// Every accessor, with the key that it has to report.
    fn lookups() -> Vec<(&'static str, Lookup, ReadPlan)> {
        let one = || BTreeSet::from([article()]);
        let plan = ReadPlan::default;
        let heads = || ReadPlan {
            heads: one(),
            ..plan()
        };
        let statuses = || ReadPlan {
            statuses: one(),
            ..plan()
        };
        let pins = || ReadPlan {
            revisions: BTreeSet::from([(article(), Revision::FIRST)]),
            ..plan()
        };
        vec![
            (
                "head",
                |view| assert!(view.head(&article()).is_none()),
                heads(),
            ),
            (
                "any_head",
                |view| assert!(view.any_head(&article()).is_none()),
                heads(),
            ),
            (
                "status",
                |view| assert!(view.status(&article()).is_none()),
                statuses(),
            ),
            (
                "revision",
                |view| assert_eq!(view.revision(&article()), Revision::NONE),
                statuses(),
            ),
            (
                "body",
                |view| assert!(view.body(&(article(), Revision::FIRST)).is_none()),
                pins(),
            ),
            (
                "is_readable",
                |view| assert!(!view.is_readable(&(article(), Revision::FIRST))),
                pins(),
            ),
            (
                "readable_revisions",
                |view| assert_eq!(view.readable_revisions(&article()).count(), 0),
                ReadPlan {
                    published: one(),
                    ..plan()
                },
            ),
            (
                "similar",
                |view| assert!(view.similar(7).is_empty()),
                ReadPlan {
                    keys: BTreeSet::from([7]),
                    ..plan()
                },
            ),
            (
                "original",
                |view| assert!(view.original("00").is_none()),
                ReadPlan {
                    originals: BTreeSet::from(["00".to_owned()]),
                    ..plan()
                },
            ),
            (
                "citing",
                |view| assert!(view.citing(&article()).is_empty()),
                ReadPlan {
                    citing: one(),
                    ..plan()
                },
            ),
            (
                "note_copies",
                |view| assert!(view.note_copies(&article()).is_empty()),
                ReadPlan {
                    copies: one(),
                    ..plan()
                },
            ),
        ]
    }

    /// A view for which all of a plan was read, and nothing found.
    fn nothing_found(plan: ReadPlan) -> ReadView {
        let mut view = ReadView::default();
        view.insert_heads(plan.heads, Vec::new());
        view.insert_statuses(plan.statuses, Vec::new());
        view.insert_revisions(plan.revisions, Vec::new());
        view.insert_readable(plan.published, Vec::new());
        view.insert_similar(plan.keys, Vec::new());
        view.insert_originals(plan.originals, Vec::new());
        view.insert_citing(plan.citing, Vec::new());
        view.insert_copies(plan.copies, Vec::new());
        view
    }

    #[test]
    fn a_lookup_of_what_was_never_read_is_recorded() {
        let view = ReadView::default();
        for (accessor, lookup, wanted) in lookups() {
            let checked = CheckedView::new(&view);
            lookup(&checked);
            assert_eq!(checked.into_unread(), wanted, "{accessor}");
        }
    }

    #[test]
    fn a_lookup_of_what_was_read_and_not_found_is_not_recorded() {
        for (accessor, lookup, wanted) in lookups() {
            let view = nothing_found(wanted);
            let checked = CheckedView::new(&view);
            lookup(&checked);
            assert!(checked.into_unread().is_empty(), "{accessor}");
        }
    }

    #[test]
    fn a_lookup_beyond_the_limit_of_a_chain_is_not_recorded() {
        for (accessor, lookup, wanted) in lookups() {
            let mut view = ReadView::default();
            view.stop_before(wanted);
            let checked = CheckedView::new(&view);
            lookup(&checked);
            assert!(checked.into_unread().is_empty(), "{accessor}");
        }
    }

    #[test]
    fn a_head_that_was_read_has_a_status_and_a_status_is_no_head() {
        let view = nothing_found(ReadPlan {
            heads: BTreeSet::from([article()]),
            statuses: BTreeSet::from([name("actors/b")]),
            ..ReadPlan::default()
        });
        let checked = CheckedView::new(&view);
        assert!(checked.status(&article()).is_none() && checked.head(&name("actors/b")).is_none());
        let unread = checked.into_unread();
        assert_eq!(unread.to_string(), "heads of actors/b");
    }
}
