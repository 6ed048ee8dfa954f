//! Search: the words of each record, made by `dateline_search`. One projection follows the feed; another one makes the
//! rows again beside it, after a change of the version or of the epoch, or when an operator asks for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dateline_search::Document;
use futures_util::future::BoxFuture;

use super::step::{ProjectedHead, Projection, Step};
use crate::{Error, columns::DELETED, pool::Lease, read_round::decode_body};

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
        // A thousand records take long enough to delay the calls of a whole thread.
        let columns = tokio::task::spawn_blocking(move || columns(heads))
            .await
            .map_err(|error| Error::Corrupt(format!("words cannot be made: {error}")))?;
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

fn columns(heads: Vec<ProjectedHead>) -> Columns {
    let mut columns = Columns::default();
    for head in heads {
        let document = (head.state != DELETED)
            .then(|| document(&head))
            .and_then(|document| {
                // One damaged record must not stop the others. It is not found, rather than found by old words.
                document
                    .inspect_err(|error| {
                        tracing::error!(
                            record = head.name,
                            sequence = head.desk_sequence,
                            error = error as &dyn std::error::Error,
                            "a record cannot be searched"
                        );
                    })
                    .ok()
            });
        let is_kept = document.is_some();
        let document = document.unwrap_or_default();
        let typos: Vec<_> = document.typos.iter().map(i32::to_string).collect();
        columns.names.push(head.name);
        columns.sequences.push(head.desk_sequence);
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

fn document(head: &ProjectedHead) -> Result<Document, Error> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        let mut body = decode_body(&head.name, &head.kind, &head.content)?;
        Ok(Document::new(&mut body))
    }));
    made.map_err(|_| Error::Corrupt(format!("reading the words of {} panicked", head.name)))?
}
