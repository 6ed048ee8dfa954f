//! The part of the records that a caller may read: a view, limited by a scope. Every read on behalf of a caller uses
//! it.

use dateline_record::filter::Filter;
use dateline_store::FeedView;

use super::scope::Scope;

/// The part of the records that a caller may read. Made by [`super::Caller::visibility`], after the check of
/// permissions.
#[derive(Debug, Clone)]
pub struct Visibility {
    view: FeedView,
    scope: Scope,
}

impl Visibility {
    pub(super) fn new(view: FeedView, scope: Scope) -> Self {
        Self { view, scope }
    }

    /// The view.
    #[must_use]
    pub fn view(&self) -> FeedView {
        self.view
    }

    /// The filter of the scope; `None` if everything is in scope.
    #[must_use]
    pub fn scope(&self) -> Option<&Filter> {
        (!self.scope.is_unrestricted()).then(|| self.scope.filter())
    }

    /// Restricts a filter to the scope.
    #[must_use]
    pub fn restrict(&self, filter: Filter) -> Filter {
        match self.scope() {
            Some(scope) => filter.within(scope),
            None => filter,
        }
    }

    /// Identifies the scope in a cursor or page token, which cannot be used by a caller with another scope. Empty if
    /// the whole view is visible.
    #[must_use]
    pub fn fingerprint(&self) -> Vec<u8> {
        self.scope.entries().join("\n").into_bytes()
    }
}
