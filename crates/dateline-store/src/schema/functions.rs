//! The functions in the database, each defined once in sql/. A file is applied when it differs from the one that was
//! applied last (a *repeatable* migration), after the numbered migrations and under their lock.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection};

use super::super::Error;

/// The revision of all files together. The first change of a file after a release raises it: a server refuses a
/// database with functions of a later revision, instead of putting its own back.
const REVISION: i32 = 1;

/// The files of sql/, in the order in which they are applied.
const FILES: [(&str, &str); 5] = [
    ("append", include_str!("../../../../sql/append.sql")),
    ("epochs", include_str!("../../../../sql/epochs.sql")),
    (
        "maintenance",
        include_str!("../../../../sql/maintenance.sql"),
    ),
    (
        "projections",
        include_str!("../../../../sql/projections.sql"),
    ),
    ("tallies", include_str!("../../../../sql/tallies.sql")),
];

/// The files that a database has: name, then revision and SHA-256.
type Applied = HashMap<String, (i32, Vec<u8>)>;

/// Applies the files that have changed, all of them or, on an error, none.
pub(super) async fn apply(connection: &mut PgConnection) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    // Notices of objects that are there already, or not there yet, are of no interest.
    sqlx::raw_sql(
        "SET LOCAL client_min_messages = warning;
         CREATE TABLE IF NOT EXISTS applied_functions (
             file text COLLATE \"C\" NOT NULL,
             revision int NOT NULL,
             sha256 bytea NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now(),
             CONSTRAINT applied_functions_pkey PRIMARY KEY (file)
         )",
    )
    .execute(&mut *transaction)
    .await?;
    let applied = applied(&mut transaction).await?;
    refuse_later(&applied)?;
    for (file, sql) in FILES {
        let current = (REVISION, Sha256::digest(sql).to_vec());
        if applied.get(file) != Some(&current) {
            sqlx::raw_sql(sql).execute(&mut *transaction).await?;
            record(&mut transaction, file, &current.1).await?;
            tracing::info!(file, "applied the functions of the database");
        }
    }
    transaction.commit().await?;
    Ok(())
}

async fn applied(connection: &mut PgConnection) -> Result<Applied, Error> {
    let rows: Vec<(String, i32, Vec<u8>)> =
        sqlx::query_as("SELECT file, revision, sha256 FROM applied_functions")
            .fetch_all(connection)
            .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(file, revision, hash)| (file, (revision, hash)))
        .collect())
}

/// Leaves functions alone that a later version of the server needs.
fn refuse_later(applied: &Applied) -> Result<(), Error> {
    match applied.values().map(|(revision, _)| *revision).max() {
        Some(revision) if revision > REVISION => Err(Error::SchemaVersion(format!(
            "its functions are of revision {revision}, and this version knows {REVISION}; start a version that is at \
             least as new as the one that changed the database last"
        ))),
        _ => Ok(()),
    }
}

async fn record(connection: &mut PgConnection, file: &str, hash: &[u8]) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO applied_functions (file, revision, sha256)
         VALUES ($1, $2, $3)
         ON CONFLICT (file) DO UPDATE SET
             revision = excluded.revision,
             sha256 = excluded.sha256,
             applied_at = excluded.applied_at",
    )
    .bind(file)
    .bind(REVISION)
    .bind(hash)
    .execute(connection)
    .await?;
    Ok(())
}
