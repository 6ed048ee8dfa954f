//! The part of the records that a caller may read: a view, limited by a scope. Every read on behalf of a caller uses
//! it.

use dateline_record::filter::Filter;
use dateline_store::View;

use super::scope::Scope;

/// The part of the records that a caller may read. Made by [`super::Caller::sight`], after the check of permissions.
#[derive(Debug, Clone)]
pub struct Sight {
    view: View,
    scope: Scope,
}

impl Sight {
    pub(super) fn new(view: View, scope: Scope) -> Self {
        Self { view, scope }
    }

    /// The view.
    #[must_use]
    pub fn view(&self) -> View {
        self.view
    }

    /// The filter of the scope; `None` if everything is in scope.
    #[must_use]
    pub fn scope(&self) -> Option<&Filter> {
        (!self.scope.is_everything()).then(|| self.scope.filter())
    }

    /// Restricts a filter to the scope.
    #[must_use]
    pub fn narrow(&self, filter: Filter) -> Filter {
        match self.scope() {
            Some(scope) => filter.within(scope),
            None => filter,
        }
    }

    /// Identifies the scope in a cursor or page token, which cannot be used by a caller with another scope. Empty if
    /// the whole view is visible.
    #[must_use]
    pub fn mark(&self) -> Vec<u8> {
        self.scope.entries().join("\n").into_bytes()
    }
}
