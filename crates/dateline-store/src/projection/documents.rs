//! The documents: the content of each record as proto-JSON, in the views that people read with psql. No statement of
//! the service reads them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use futures_util::future::BoxFuture;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;

use super::step::{ProjectedHead, Projection, Step};
use crate::{Error, columns::DELETED, pool::Lease, read_round::decode_body};

/// The projection of documents.
pub(super) const DOCUMENTS: Projection = Projection {
    name: "documents",
    version: 1,
    apply,
};

/// JSON text, which goes to `jsonb` without being parsed here.
type Document = Json<Box<RawValue>>;

/// Rows as columns.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    sequences: Vec<i64>,
    documents: Vec<Option<Document>>,
}

fn apply(
    connection: &mut Lease,
    step: Step,
    heads: Vec<ProjectedHead>,
) -> BoxFuture<'_, Result<bool, Error>> {
    Box::pin(async move {
        // A thousand records take long enough to delay the calls of a whole thread.
        let columns = tokio::task::spawn_blocking(move || columns(heads))
            .await
            .map_err(|error| Error::Corrupt(format!("documents cannot be made: {error}")))?;
        let advanced = sqlx::query_scalar!(
            r#"SELECT project_documents($1, $2, $3, $4, $5, $6, $7) AS "advanced!""#,
            step.version,
            step.epoch,
            step.from,
            step.to,
            &columns.names,
            &columns.sequences,
            &columns.documents as _,
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
                // One damaged record must not stop the others. It has no document, not an old one.
                document
                    .inspect_err(|error| {
                        tracing::error!(
                            record = head.name,
                            sequence = head.desk_sequence,
                            error = error as &dyn std::error::Error,
                            "a record has no document"
                        );
                    })
                    .ok()
            });
        columns.names.push(head.name);
        columns.sequences.push(head.desk_sequence);
        columns.documents.push(document);
    }
    columns
}

fn document(head: &ProjectedHead) -> Result<Document, Error> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        let body = decode_body(&head.name, &head.kind, &head.content)?;
        let text = to_raw_value(&body.to_dynamic())
            .map_err(|error| Error::Corrupt(format!("{} has no JSON form: {error}", head.name)))?;
        // Rules keep them out; one would fail the whole step.
        if has_null(text.get()) {
            return Err(Error::Corrupt(format!(
                "{} has a null character, which jsonb refuses",
                head.name
            )));
        }
        Ok(text)
    }));
    made.map_err(|_| Error::Corrupt(format!("making JSON of {} panicked", head.name)))?
        .map(Json)
}

/// True if JSON text has an escaped null character, which is not one behind a backslash that is escaped itself.
fn has_null(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json[..at].bytes().rev();
        before.take_while(|byte| *byte == b'\\').count() % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_character_is_told_from_a_text_about_one() {
        for (text, expected) in [
            ("\0", true),
            ("\\\0", true),
            ("\\u0000", false),
            ("a", false),
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(has_null(&json), expected, "{json}");
        }
    }
}
