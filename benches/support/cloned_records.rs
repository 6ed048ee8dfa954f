//! A large database in seconds: some records are published by commits, and SQL clones their log rows and heads under
//! other names. Names are not in the order of the sequence, as when editors choose them.
//!
//! Only the published revision of a clone is logged. Its head has no facets, so lists do not find it; the
//! tallies of the feed do not count it.

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection, Row};

use super::{
    records::Records,
    server::{BenchServer, gold, publish},
};

/// Records that are cloned.
const TEMPLATES: usize = 500;
/// Records per commit.
const BATCH: usize = 10;

const INDEXES: [&str; 3] = ["records_facets_idx", "records_keys_idx", "records_days_idx"];

const CLONE: &str = "
    CREATE TEMP TABLE clones AS
    SELECT
        number,
        template.*,
        split_part(template.name, '/', 1) || '/c' || substr(md5(number::text), 1, 12) || '-'
            || lpad(number::text, 9, '0') AS new_name
    FROM generate_series(1, $1) AS number
    JOIN (
        SELECT changes.*, coalesce(kept.content, changes.content) AS full_content,
            row_number() OVER (ORDER BY changes.wire_sequence) - 1 AS place
        FROM changes
        LEFT JOIN changes AS kept ON kept.desk_sequence = changes.content_at
        WHERE changes.wire_sequence > (SELECT wire_head FROM feed) - $2
    ) AS template ON template.place = number % $2";

const LOG: &str = "
    INSERT INTO changes (
        desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before, content,
        meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, author, accepted_at)
    SELECT
        desk_head + number, desk_head + least((number + 9) / 10 * 10, $1),
        wire_head + number, wire_head + least((number + 9) / 10 * 10, $1),
        type, new_name, kind, revision, state, state_before,
        '\\x0a'::bytea || set_byte('\\x00', 0, octet_length(new_name)) || convert_to(new_name, 'UTF8')
            || substr(full_content, 3 + octet_length(name)),
        meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, author, accepted_at
    FROM clones, feed
    ORDER BY number";

const HEADS: &str = "
    INSERT INTO records (
        name, uid, kind, state, revision, desk_sequence, wire_sequence, facets, keys)
    SELECT
        new_name, gen_random_uuid(), kind, state, revision, desk_head + number, wire_head + number, '{}', '{}'
    FROM clones, feed
    ORDER BY number";

/// Clones have no documents.
const FEED: &str = "
    WITH moved AS (UPDATE feed SET desk_head = desk_head + $1, wire_head = wire_head + $1 RETURNING desk_head)
    UPDATE projections SET position = moved.desk_head FROM moved";

/// Publishes records of about `bytes`, and clones them `count` times. Stops the server of the server.
pub async fn fill(server: &mut BenchServer, bytes: usize, count: usize) -> Result<Filled> {
    let records = Records::new(&gold()?, bytes)?;
    for first in (0..TEMPLATES).step_by(BATCH) {
        let batch = (first..first + BATCH).map(|number| records.nth(number));
        publish(&server.client, batch.collect()).await?;
    }
    server.stop_server().await?;
    let mut connection = PgConnection::connect(&server.url).await?;
    for index in INDEXES {
        run(&mut connection, &format!("DROP INDEX {index}")).await?;
    }
    let (clones, templates) = (i64::try_from(count)?, i64::try_from(TEMPLATES)?);
    run(&mut connection, "SET work_mem = '256MB'").await?;
    let made = sqlx::query(CLONE).bind(clones).bind(templates);
    made.execute(&mut connection).await?;
    let logged = sqlx::query(LOG).bind(clones);
    logged.execute(&mut connection).await?;
    run(&mut connection, HEADS).await?;
    sqlx::query(FEED)
        .bind(clones)
        .execute(&mut connection)
        .await?;
    run(&mut connection, "DROP TABLE clones").await?;
    run(&mut connection, "VACUUM ANALYZE changes").await?;
    run(&mut connection, "VACUUM ANALYZE records").await?;
    run(&mut connection, "CHECKPOINT").await?;
    let told = sqlx::query(
        "SELECT wire_head, (SELECT count(*) FROM records WHERE state = 'published'),
             (SELECT avg(octet_length(content) + octet_length(meta))::bigint FROM changes
              WHERE wire_sequence IS NOT NULL)
         FROM feed",
    )
    .fetch_one(&mut connection)
    .await?;
    let number = |column: usize| -> Result<usize> {
        usize::try_from(told.get::<i64, _>(column)).context("a count")
    };
    let filled = Filled {
        changes: number(0)?,
        records: number(1)?,
        bytes: number(2)?,
    };
    connection.close().await?;
    Ok(filled)
}

/// The contents of a filled database.
pub struct Filled {
    /// Changes on the wire feed.
    pub changes: usize,
    /// Records visible to readers.
    pub records: usize,
    /// Average bytes per change: content and meta.
    pub bytes: usize,
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await?;
    Ok(())
}
