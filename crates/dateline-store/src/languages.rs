//! Spelling of language facets: facets that older servers wrote are rewritten once, so that filters find them. Contents
//! are not changed.

use dateline_record::rules::language::canonical;
use sqlx::{Connection, PgConnection};

use super::Error;

/// Version of the spelling rules; to be raised when they change.
const SPELLING: i32 = 1;
/// Prefix of language facets.
const LANGUAGE: &str = "lang:";

/// Rewrites the facets of records and log, unless that was done before. Other servers that start meanwhile wait.
pub(super) async fn respell(connection: &mut PgConnection) -> Result<(), Error> {
    if spelling(connection).await? >= SPELLING {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query!("SET LOCAL lock_timeout = 0")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("SELECT desk_head FROM feed FOR UPDATE")
        .fetch_one(&mut *transaction)
        .await?;
    if spelling(&mut transaction).await? >= SPELLING {
        return Ok(());
    }
    let facets = sqlx::query_scalar!(
        r#"SELECT DISTINCT facet AS "facet!"
           FROM changes
           CROSS JOIN unnest(facets || facets_before) AS facet
           WHERE facet LIKE 'lang:%'"#
    )
    .fetch_all(&mut *transaction)
    .await?;
    let old = facets.into_iter().filter_map(|facet| {
        let tag = facet.strip_prefix(LANGUAGE)?;
        let canonical = format!("{LANGUAGE}{}", canonical(tag));
        (canonical != facet).then_some((facet, canonical))
    });
    let (old, new): (Vec<_>, Vec<_>) = old.unzip();
    if !old.is_empty() {
        tracing::info!(languages = old.len(), "respelling the languages of records");
        replace(&mut transaction, &old, &new).await?;
    }
    // Detects a restored database before this statement marks the row as written by a server.
    sqlx::query("SELECT settle_feed(0)")
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "UPDATE feed SET
             language_spelling = $1,
             written_by = pg_current_xact_id()::xid,
             written_at = pg_current_wal_insert_lsn()",
    )
    .bind(SPELLING)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

async fn spelling(connection: &mut PgConnection) -> Result<i32, Error> {
    let spelling = sqlx::query_scalar!("SELECT language_spelling FROM feed");
    Ok(spelling.fetch_one(connection).await?)
}

/// Replaces facets; lists of facets stay sorted by their bytes.
async fn replace(
    connection: &mut PgConnection,
    old: &[String],
    new: &[String],
) -> Result<(), Error> {
    sqlx::query!(
        r#"UPDATE changes
           SET facets = respelled(facets, $1, $2), facets_before = respelled(facets_before, $1, $2)
           WHERE facets && $1 OR facets_before && $1"#,
        old,
        new,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "UPDATE records SET facets = respelled(facets, $1, $2) WHERE facets && $1",
        old,
        new,
    )
    .execute(connection)
    .await?;
    Ok(())
}
