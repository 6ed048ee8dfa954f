//! Conditions of a filter on `records`, shared by the statements of lists, snapshots and searches.

use dateline_record::filter::Filter;
use sqlx::{Postgres, QueryBuilder};

use super::columns::range;

/// Restricts the records to those with a facet of each dimension, and to the days.
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
