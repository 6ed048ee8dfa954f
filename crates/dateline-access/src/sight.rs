//! What a caller sees of the records: a view, narrowed by a scope. Whatever reads records for somebody goes by this.

use dateline_record::filter::Filter;
use dateline_store::View;

use super::scope::Scope;

/// What a caller sees. Made by [`super::Caller::sight`], after it was allowed.
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

    /// What the view is narrowed by; `None` if it is not.
    #[must_use]
    pub fn scope(&self) -> Option<&Filter> {
        (!self.scope.is_everything()).then(|| self.scope.filter())
    }

    /// A filter that lets nothing through beyond this.
    #[must_use]
    pub fn narrow(&self, filter: Filter) -> Filter {
        match self.scope() {
            Some(scope) => filter.within(scope),
            None => filter,
        }
    }

    /// What a cursor or a page token belongs to beside its request: they are not gone on with as somebody who sees
    /// something else. Nothing, for who sees the whole view.
    #[must_use]
    pub fn mark(&self) -> Vec<u8> {
        self.scope.entries().join("\n").into_bytes()
    }
}
