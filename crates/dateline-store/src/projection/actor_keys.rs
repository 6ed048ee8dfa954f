//! The keys of actors, by which those that may be the same are found. Rows have no state and no content: reads take
//! both from the records.

use dateline_match::{Key, Profile, profile_keys};
use dateline_proto::v1::record::Kind as Body;
use futures_util::future::BoxFuture;

use super::{
    rows::{self, ProjectedRow},
    step::{ProjectedHead, Projection, Step},
};
use crate::{Error, pool::Lease};

/// The projection of keys. The version of the keys is part of its own: keys of two versions are never compared.
pub(super) const ACTOR_KEYS: Projection = Projection {
    name: NAME,
    version: dateline_match::VERSION.cast_signed() * 1000 + 1,
    apply,
};

/// The row in `projections`.
pub(crate) const NAME: &str = "actor_keys";
/// Most keys of a record. An actor may have 200 names.
const MAX_KEYS: usize = 1024;
/// Kind of the records that have keys.
const KIND: &str = "actor";

/// Hashes a key. Equal hashes of different keys cost a comparison, no more.
pub(crate) fn hash(key: &Key) -> i64 {
    let hash = blake3::hash(format!("{}{}", key.class.letter(), key.text).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_be_bytes(first)
}

/// Rows as columns.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
    sequences: Vec<i64>,
    keys: Vec<Option<String>>,
}

fn apply(
    connection: &mut Lease,
    step: Step,
    heads: Vec<ProjectedHead>,
) -> BoxFuture<'_, Result<bool, Error>> {
    Box::pin(async move {
        let actors = heads.into_iter().filter(|head| head.kind == KIND);
        let columns = columns(rows::make(NAME, actors.collect(), |body| keys(body)).await?);
        let advanced = sqlx::query_scalar!(
            r#"SELECT project_actor_keys($1, $2, $3, $4, $5, $6, $7) AS "advanced!""#,
            step.version,
            step.epoch,
            step.from,
            step.to,
            &columns.names,
            &columns.sequences,
            &columns.keys as _,
        )
        .fetch_one(connection)
        .await?;
        Ok(advanced)
    })
}

fn columns(rows: Vec<ProjectedRow<String>>) -> Columns {
    let mut columns = Columns::default();
    for row in rows {
        columns.names.push(row.name);
        columns.sequences.push(row.desk_sequence);
        columns.keys.push(row.row);
    }
    columns
}

/// The keys of a record as an array of Postgres.
fn keys(body: &Body) -> Result<String, Error> {
    let Body::Actor(actor) = body else {
        return Err(Error::Corrupt("it is no actor".to_owned()));
    };
    let keys = profile_keys(&Profile::of(actor));
    let hashes: Vec<String> = keys
        .iter()
        .take(MAX_KEYS)
        .map(|key| hash(key).to_string())
        .collect();
    Ok(format!("{{{}}}", hashes.join(",")))
}
