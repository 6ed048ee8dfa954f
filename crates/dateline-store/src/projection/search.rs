//! Search: the words of each record, made by `dateline_search`. One projection follows the feed; another one makes the
//! rows again beside it, after a change of the version or of the epoch, or when an operator asks for it.

use dateline_search::Document;
use futures_util::future::BoxFuture;

use super::{
    rows::{self, ProjectedRow},
    step::{ProjectedHead, Projection, Step},
};
use crate::{Error, pool::Lease};

/// The projection that follows the feed.
pub(super) const SEARCH: Projection = Projection {
    name: "search",
    version: dateline_search::VERSION,
    apply: |connection, step, heads| apply("search", connection, step, heads),
};

/// The projection that makes rows again.
pub(super) const REBUILD: Projection = Projection {
    name: "search_rebuild",
    version: dateline_search::VERSION,
    apply: |connection, step, heads| apply("search_rebuild", connection, step, heads),
};

/// Rows as columns.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    sequences: Vec<i64>,
    configurations: Vec<Option<String>>,
    lexemes: Vec<Option<String>>,
    prose: Vec<String>,
    name_lines: Vec<String>,
    typos: Vec<String>,
}

fn apply<'c>(
    projection: &'static str,
    connection: &'c mut Lease,
    step: Step,
    heads: Vec<ProjectedHead>,
) -> BoxFuture<'c, Result<bool, Error>> {
    Box::pin(async move {
        let columns = columns(rows::make(projection, heads, |body| Ok(Document::new(body))).await?);
        let advanced = sqlx::query_scalar!(
            r#"SELECT project_search($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS "advanced!""#,
            projection,
            step.version,
            step.epoch,
            step.from,
            step.to,
            &columns.names,
            &columns.sequences,
            &columns.configurations as _,
            &columns.lexemes as _,
            &columns.prose,
            &columns.name_lines,
            &columns.typos,
        )
        .fetch_one(connection)
        .await?;
        Ok(advanced)
    })
}

fn columns(rows: Vec<ProjectedRow<Document>>) -> Columns {
    let mut columns = Columns::default();
    for row in rows {
        let is_kept = row.row.is_some();
        let document = row.row.unwrap_or_default();
        let typos: Vec<_> = document.typos.iter().map(i32::to_string).collect();
        columns.names.push(row.name);
        columns.sequences.push(row.desk_sequence);
        columns
            .configurations
            .push(document.configuration.map(str::to_owned));
        columns.lexemes.push(is_kept.then_some(document.lexemes));
        columns.prose.push(document.prose);
        columns.name_lines.push(document.names);
        columns.typos.push(typos.join(" "));
    }
    columns
}
