//! The documents: the content of each record as proto-JSON, in the views that people read with psql. No statement of
//! the service reads them.

use dateline_proto::v1::record::Kind as Body;
use futures_util::future::BoxFuture;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;

use super::{
    rows::{self, ProjectedRow},
    step::{ProjectedHead, Projection, Step},
};
use crate::{Error, pool::Lease};

/// The projection of documents.
pub(super) const DOCUMENTS: Projection = Projection {
    name: NAME,
    version: 1,
    apply,
};

/// The row in `projections`.
const NAME: &str = "documents";

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
        let columns = columns(rows::make(NAME, heads, |body| document(body)).await?);
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

fn columns(rows: Vec<ProjectedRow<Document>>) -> Columns {
    let mut columns = Columns::default();
    for row in rows {
        columns.names.push(row.name);
        columns.sequences.push(row.desk_sequence);
        columns.documents.push(row.row);
    }
    columns
}

fn document(body: &Body) -> Result<Document, Error> {
    let text = to_raw_value(&body.to_dynamic())
        .map_err(|error| Error::Corrupt(format!("it has no JSON form: {error}")))?;
    // Rules keep them out; one would fail the whole step.
    if has_null(text.get()) {
        let what = "it has a null character, which jsonb refuses".to_owned();
        return Err(Error::Corrupt(what));
    }
    Ok(Json(text))
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
