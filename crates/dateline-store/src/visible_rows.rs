//! The rows of `records` that a list of a view and a filter has, as conditions of a statement. Everything that answers
//! like a list uses them, so that there is one place that decides.

use dateline_record::filter::Filter;
use sqlx::{Postgres, QueryBuilder};

use super::{columns::range, stored::FeedView};

/// Restricts `records` to those that a list of this view has: the states of the view, without tombstones unless the
/// filter names states, and what matches the filter.
pub(super) fn push_visible(query: &mut QueryBuilder<Postgres>, filter: &Filter, view: FeedView) {
    query.push(match view {
        FeedView::Desk => " AND records.state <> 'deleted'",
        FeedView::Wire => " AND records.state IN ('published', 'retracted', 'merged')",
    });
    if !filter.by_state {
        query.push(" AND records.state NOT IN ('retracted', 'merged')");
    }
    push_kinds(query, filter);
    push_facets(query, filter);
}

/// Restricts `records` to those that match the facets and days of a filter.
pub(super) fn push_facets(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    for dimension in &filter.dimensions {
        query
            .push(" AND records.facets && ")
            .push_bind(dimension.clone());
    }
    if let Some(days) = filter.days {
        query.push(" AND records.days && ").push_bind(range(days));
    }
}

/// Restricts the names to the ranges of the wanted kinds, since names sort by kind: otherwise a page of events would
/// scan all actors first.
pub(super) fn push_kinds(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    let Some(ranges) = filter.name_ranges() else {
        return;
    };
    query.push(" AND (false");
    for (first, end) in ranges {
        query.push(" OR records.name >= ").push_bind(first);
        query.push(" AND records.name < ").push_bind(end);
    }
    query.push(")");
}
