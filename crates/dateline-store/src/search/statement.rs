//! The statement of a search. Each combination of words, filter and order has its own plan, so it is not static.

use sqlx::{Postgres, QueryBuilder};

use super::request::{SearchAfter, SearchOrder, SearchQuery};
use crate::{
    stored::FeedView,
    visible_rows::{push_facets, push_kinds},
};

/// The records that are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Matching<'a> {
    /// All.
    All,
    /// Those that match the text of a `tsquery`.
    Words(&'a str),
    /// Those with names that have each word, with an error or without.
    Alike(&'a [(Vec<i32>, String)]),
    /// The same with each word but one.
    AllButOne(&'a [(Vec<i32>, String)]),
}

pub(super) fn select(
    query: &SearchQuery<'_>,
    matching: Matching<'_>,
    after: Option<&SearchAfter>,
    limit: usize,
) -> QueryBuilder<Postgres> {
    let mut statement = QueryBuilder::new(
        "SELECT records.name, changes.desk_sequence, changes.wire_sequence, lower(records.days) AS first_day,
                records.facets, changes.author, ",
    );
    if let Matching::All = matching {
        // Through the log: its keys have the order of the newest.
        statement.push(
            "'' AS names, 0::float8 AS text_rank
             FROM changes
             JOIN records ON records.name = changes.name AND records.desk_sequence = changes.desk_sequence
             WHERE true",
        );
    } else {
        push_index(
            &mut statement,
            matching,
            query.order == SearchOrder::Relevance,
        );
    }
    push_matching(&mut statement, matching);
    push_visible(&mut statement, query, !matches!(matching, Matching::All));
    push_after(&mut statement, query, after);
    statement.push(match (query.order, query.view) {
        (SearchOrder::Relevance, _) => "",
        (SearchOrder::Newest, FeedView::Desk) => " ORDER BY changes.desk_sequence DESC",
        (SearchOrder::Newest, FeedView::Wire) => " ORDER BY changes.wire_sequence DESC",
        (SearchOrder::Time, _) => {
            " ORDER BY coalesce(lower(records.days), '-infinity') DESC, records.name"
        }
        (SearchOrder::Name, _) => " ORDER BY records.name",
    });
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.push(" LIMIT ").push_bind(limit);
    statement
}

/// The index, joined to the present records.
fn push_index(statement: &mut QueryBuilder<Postgres>, matching: Matching<'_>, ranks: bool) {
    statement.push("search.names, ");
    if let Matching::Words(text) = matching
        && ranks
    {
        // 32: between 0 and 1; 1: long texts count less.
        statement
            .push("ts_rank_cd(search.words, ")
            .push_bind(text.to_owned());
        statement.push("::tsquery, 33)::float8");
    } else {
        statement.push("0::float8");
    }
    // Found by the words of the present content alone, whatever the index is behind (F10): made from a head since the
    // record got it.
    statement.push(
        " AS text_rank
         FROM search
         JOIN records ON records.name = search.name
         JOIN changes ON changes.desk_sequence = records.desk_sequence
         WHERE search.desk_sequence >= coalesce(changes.content_at, changes.desk_sequence)",
    );
}

fn push_matching(statement: &mut QueryBuilder<Postgres>, matching: Matching<'_>) {
    match matching {
        Matching::All => {}
        Matching::Words(text) => {
            statement
                .push(" AND search.words @@ ")
                .push_bind(text.to_owned());
            statement.push("::tsquery");
        }
        Matching::Alike(groups) => {
            statement.push(" AND ");
            push_groups(statement, groups, None);
        }
        Matching::AllButOne(groups) => {
            statement.push(" AND (");
            for left_out in 0..groups.len() {
                statement.push(if left_out == 0 { "" } else { " OR " });
                push_groups(statement, groups, Some(left_out));
            }
            statement.push(")");
        }
    }
}

fn push_groups(
    statement: &mut QueryBuilder<Postgres>,
    groups: &[(Vec<i32>, String)],
    left_out: Option<usize>,
) {
    statement.push("(");
    let wanted = groups.iter().enumerate();
    let wanted = wanted.filter(|(at, _)| Some(*at) != left_out);
    for (place, (_, (hashes, exact))) in wanted.enumerate() {
        statement.push(if place == 0 { "" } else { " AND " });
        statement
            .push("(search.typos && ")
            .push_bind(hashes.clone());
        statement
            .push(" OR search.words @@ ")
            .push_bind(exact.clone());
        statement.push("::tsquery)");
    }
    statement.push(")");
}

fn push_visible(statement: &mut QueryBuilder<Postgres>, query: &SearchQuery<'_>, by_content: bool) {
    statement.push(match (query.view, by_content) {
        (FeedView::Desk, _) => " AND records.state <> 'deleted'",
        // Of tombstones readers see no content, so nothing is found in it.
        (FeedView::Wire, true) => " AND records.state = 'published'",
        (FeedView::Wire, false) => " AND records.state IN ('published', 'retracted', 'merged')",
    });
    if !query.filter.by_state {
        statement.push(" AND records.state NOT IN ('retracted', 'merged')");
    }
    push_kinds(statement, query.filter);
    push_facets(statement, query.filter);
    if let Some(author) = query.author {
        statement
            .push(" AND changes.author = ")
            .push_bind(author.to_owned());
    }
    if let Some(since) = query.since {
        statement
            .push(" AND changes.accepted_at >= ")
            .push_bind(since);
    }
}

fn push_after(
    statement: &mut QueryBuilder<Postgres>,
    query: &SearchQuery<'_>,
    after: Option<&SearchAfter>,
) {
    let Some(after) = after else { return };
    match query.order {
        SearchOrder::Relevance => {}
        SearchOrder::Newest => {
            statement.push(match query.view {
                FeedView::Desk => " AND changes.desk_sequence < ",
                FeedView::Wire => " AND changes.wire_sequence < ",
            });
            statement.push_bind(after.key.parse::<i64>().unwrap_or(0));
        }
        SearchOrder::Time => {
            let day = if after.key.is_empty() {
                "-infinity"
            } else {
                &after.key
            };
            statement.push(" AND (coalesce(lower(records.days), '-infinity') < ");
            statement.push_bind(day.to_owned());
            statement.push("::date OR coalesce(lower(records.days), '-infinity') = ");
            statement.push_bind(day.to_owned());
            statement
                .push("::date AND records.name > ")
                .push_bind(after.name.clone());
            statement.push(")");
        }
        SearchOrder::Name => {
            statement
                .push(" AND records.name > ")
                .push_bind(after.name.clone());
        }
    }
}
