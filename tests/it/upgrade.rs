//! Starts on databases that other versions have made, and on functions that other versions have left.

use std::{collections::BTreeMap, path::Path};

use dateline::json;
use dateline_proto::v1::{Change, GetFeedRequest, View};
use dateline_store::Store;
use sqlx::{Connection, Executor, PgConnection, migrate::Migrator};
use tokio_util::sync::CancellationToken;

use crate::support::{
    callers::client_with_token,
    editing::*,
    log_rows::broken_rows,
    projections::wait_projected,
    replica::{are_tallies_correct, get_feed},
    server::{TestServer, config, create_database, start_server_with},
    watch::{read_changes, watch_from_beginning, watch_from_cursor},
};

/// Migrations and rows of the last version before the baseline, commit 0039dbc.
const BEFORE: &str = "tests/data/before_squash";

/// A feed as the program of that commit sent it: the file of its changes, one per line, and that of the cursors that a
/// consumer saved, each with its sequence.
const FEEDS: [(View, &str, &str); 2] = [
    (View::Published, "published.ndjson", "published.cursors"),
    (View::Desk, "desk.ndjson", "desk.cursors"),
];

fn data(file: &str) -> String {
    std::fs::read_to_string(Path::new(BEFORE).join(file)).unwrap()
}

async fn run(sql: &mut PgConnection, text: &str) {
    sql.execute(sqlx::AssertSqlSafe(text.to_owned()))
        .await
        .unwrap();
}

/// A database without anything.
async fn empty() -> (String, PgConnection) {
    let url = create_database().await;
    let mut sql = PgConnection::connect(&url).await.unwrap();
    run(&mut sql, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
    (url, sql)
}

async fn old_migrations() -> Migrator {
    let directory = Path::new(BEFORE).join("migrations");
    Migrator::new(directory).await.unwrap()
}

/// A database as commit 0039dbc left it: its migrations, its rows, its account of migrations, at home here.
async fn made_before() -> (String, PgConnection) {
    let (url, mut sql) = empty().await;
    let migrations = old_migrations().await;
    migrations.run(&mut sql).await.unwrap();
    run(
        &mut sql,
        "DELETE FROM feed; DELETE FROM epochs; DELETE FROM _sqlx_migrations",
    )
    .await;
    run(&mut sql, &data("rows.sql")).await;
    run(
        &mut sql,
        "UPDATE feed SET
             home = feed_home(),
             written_by = pg_current_xact_id()::xid,
             written_at = pg_current_wal_insert_lsn();
         -- Answers are kept for a day.
         UPDATE requests SET accepted_at = now()",
    )
    .await;
    let account: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let files = migrations.iter();
    let files: Vec<_> = files
        .map(|file| (file.version, file.checksum.to_vec()))
        .collect();
    assert_eq!(
        account, files,
        "the files are those that commit 0039dbc applied"
    );
    (url, sql)
}

/// The log with each content in its place, and without the columns that came later.
const LOG_READ_BACK: &str = "
    SELECT (to_jsonb(t) - '{content,content_at,previous,commitment,salt,slot}'::text[]
        || jsonb_build_object('content', CASE WHEN t.content_at IS NULL THEN t.content ELSE kept.content END))::text
    FROM changes AS t
    LEFT JOIN changes AS kept ON kept.desk_sequence = t.content_at
    ORDER BY 1";

async fn contents_are_pointed_at(sql: &mut PgConnection) -> bool {
    sqlx::query_scalar(
        "SELECT EXISTS (
             SELECT FROM pg_attribute WHERE attrelid = 'changes'::regclass AND attname = 'content_at')",
    )
    .fetch_one(sql)
    .await
    .unwrap()
}

/// Rows that an upgrade must leave alone. Search text of heads, which nothing read, goes; documents move to a table.
async fn kept(sql: &mut PgConnection) -> BTreeMap<&'static str, Vec<String>> {
    let mut kept = BTreeMap::new();
    for table in [
        "feed", "epochs", "changes", "records", "links", "requests", "tokens", "audit",
    ] {
        let is_read_back = table == "changes" && contents_are_pointed_at(sql).await;
        let rows = if is_read_back {
            LOG_READ_BACK.to_owned()
        } else {
            format!(
                "SELECT (to_jsonb(t) - '{{search,document}}'::text[])::text FROM {table} AS t ORDER BY 1"
            )
        };
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(rows));
        kept.insert(table, rows.fetch_all(&mut *sql).await.unwrap());
    }
    kept
}

/// The documents that people read, in the table that has them.
async fn documents(sql: &mut PgConnection, table: &str) -> Vec<(String, serde_json::Value)> {
    let rows = format!("SELECT name, document FROM {table} WHERE state <> 'deleted' ORDER BY name");
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(rows));
    rows.fetch_all(sql).await.unwrap()
}

/// Every object of the schema, described by Postgres: relations and their columns in order, constraints, indexes,
/// views, functions, triggers, comments.
async fn objects(sql: &mut PgConnection) -> Vec<String> {
    let objects = sqlx::query_scalar(
        "SELECT concat_ws(' ', relkind, relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
             attstorage, attidentity, attcollation::regcollation, pg_get_expr(adbin, adrelid), reloptions)
         FROM pg_class
         JOIN pg_attribute ON attrelid = pg_class.oid
         LEFT JOIN pg_attrdef ON adrelid = pg_class.oid AND adnum = attnum
         WHERE relnamespace = 'public'::regnamespace
         UNION ALL
         SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace
         UNION ALL
         SELECT pg_get_indexdef(indexrelid)
         FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE relnamespace = 'public'::regnamespace
         UNION ALL
         SELECT viewname || definition FROM pg_views WHERE schemaname = 'public'
         UNION ALL
         SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
         UNION ALL
         SELECT concat_ws(' ', typtype, typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace
         UNION ALL
         SELECT pg_get_triggerdef(oid) FROM pg_trigger
         UNION ALL
         SELECT concat_ws(' ', objoid::regclass, objsubid, description)
         FROM pg_description WHERE objoid::regclass::text IN (SELECT tablename FROM pg_tables WHERE schemaname = 'public')
         UNION ALL
         SELECT concat_ws(' ', version, encode(checksum, 'hex')) FROM _sqlx_migrations
         UNION ALL
         SELECT concat_ws(' ', file, revision, encode(sha256, 'hex')) FROM applied_functions
         ORDER BY 1",
    );
    objects.fetch_all(sql).await.unwrap()
}

/// Compares a feed with the one of before: identity, head, digest, every change, and the changes behind each saved
/// cursor.
async fn compare(
    server: &TestServer,
    (view, changes_file, cursors_file): (View, &str, &str),
    reported: &serde_json::Value,
) {
    let feed = get_feed(server, view).await;
    let digest = feed.digest.unwrap();
    assert_eq!(feed.feed, reported["feed"]);
    assert_eq!(feed.epoch, reported["epoch"]);
    assert_eq!(feed.head_sequence, reported["headSequence"]);
    assert_eq!(digest.records, reported["records"]);
    assert_eq!(
        hex::encode(digest.digest),
        reported["digest"].as_str().unwrap()
    );
    let lines = data(changes_file);
    let expected = lines.lines().map(|line| json::read(line).unwrap());
    let expected: Vec<Change> = expected.collect();
    let all = read_changes(server, watch_from_beginning(view), expected.len()).await;
    assert_eq!(all, expected);
    for line in data(cursors_file).lines() {
        let (sequence, cursor) = line.split_once(' ').unwrap();
        let sequence: i64 = sequence.parse().unwrap();
        let behind: Vec<_> = expected
            .iter()
            .filter(|change| change.sequence > sequence)
            .cloned()
            .collect();
        let resumed = read_changes(server, watch_from_cursor(view, cursor), behind.len()).await;
        assert_eq!(resumed, behind, "behind {sequence}");
    }
}

#[tokio::test]
async fn a_database_of_the_last_version_before_the_baseline_goes_on_as_it_was() {
    let (url, mut sql) = made_before().await;
    let before = kept(&mut sql).await;
    let documents = documents(&mut sql, "records").await;
    let server = start_server_with(config(&url)).await;
    assert_eq!(kept(&mut sql).await, before);
    let pointers: i64 = sqlx::query_scalar("SELECT count(content_at) FROM changes")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert!(pointers > 0, "contents that stay are stored once");
    assert_eq!(broken_rows(&mut sql).await, [""; 0]);
    wait_projected(&url).await;
    assert_eq!(self::documents(&mut sql, "documents").await, documents);
    // The report of `dateline feed`: published, then desk.
    let reported: Vec<serde_json::Value> = serde_json::from_str(&data("feed.json")).unwrap();
    for (feed, reported) in FEEDS.into_iter().zip(&reported) {
        compare(&server, feed, reported).await;
    }
    let mut settings = config(&url);
    settings.access.required = true;
    let closed = start_server_with(settings).await;
    let mut reader = client_with_token(&closed.address, &data("token")).await;
    reader
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap();
    let refused = try_commit(&reader, commit_request(vec![create(&actor("by-a-reader"))])).await;
    refused
        .unwrap_err()
        .assert_is(tonic::Code::PermissionDenied, "ROLE_REQUIRED");
    // It takes writes, behind what was there.
    let head = get_feed(&server, View::Desk).await.head_sequence;
    create_base(&server.client).await;
    assert_eq!(get_feed(&server, View::Desk).await.head_sequence, head + 6);
    assert!(are_tallies_correct(&mut sql).await);
    closed.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_upgraded_database_has_the_schema_of_a_new_one() {
    let (upgraded, mut sql) = made_before().await;
    Store::connect(&upgraded, &dateline_store::Settings::default())
        .await
        .unwrap();
    let upgraded = objects(&mut sql).await;
    let (new, mut sql) = empty().await;
    Store::connect(&new, &dateline_store::Settings::default())
        .await
        .unwrap();
    let new = objects(&mut sql).await;
    assert!(new.len() > 200, "{new:#?}");
    assert_eq!(upgraded, new);
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |it| it.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// The error of a server that does not start.
async fn refused_start(url: &str) -> String {
    match dateline_server::start(config(url), CancellationToken::new()).await {
        Ok(_) => panic!("it starts"),
        Err(error) => chain(&error),
    }
}

#[tokio::test]
async fn a_database_with_some_of_the_squashed_migrations_is_refused_and_left_alone() {
    for last in [1, 8, 11] {
        let (url, mut sql) = empty().await;
        let migrations = old_migrations().await;
        migrations.run_to(last, &mut sql).await.unwrap();
        let told = refused_start(&url).await;
        assert!(told.contains("of commit 0039dbc, on it once"), "{told}");
        let versions: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version")
                .fetch_all(&mut sql)
                .await
                .unwrap();
        assert_eq!(versions.last(), Some(&last));
        // The advice in the error helps.
        migrations.run(&mut sql).await.unwrap();
        start_server_with(config(&url)).await.stop().await;
    }
}

#[tokio::test]
async fn functions_are_put_right_at_start_under_a_server_that_runs() {
    let server = start_server_with(config(&create_database().await)).await;
    create_drafts(&server.client, &[actor("before")]).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    run(
        &mut sql,
        "DROP FUNCTION append; CREATE FUNCTION append(other int) RETURNS int LANGUAGE sql AS 'SELECT other';
         UPDATE applied_functions SET sha256 = '' WHERE file = 'append'",
    )
    .await;
    refused_write(&server).await;
    let second = start_server_with(config(&server.url)).await;
    create_drafts(&server.client, &[actor("on-the-first")]).await;
    create_drafts(&second.client, &[actor("on-the-second")]).await;
    let functions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_proc WHERE proname = 'append'")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(functions, 1);
}

/// A write fails while there is no function to write by.
async fn refused_write(server: &TestServer) {
    let answer = try_commit(
        &server.client,
        commit_request(vec![create(&actor("between"))]),
    )
    .await;
    answer
        .unwrap_err()
        .assert_is(tonic::Code::Internal, "INTERNAL");
}

#[tokio::test]
async fn functions_that_have_not_changed_are_not_applied_again() {
    let url = create_database().await;
    let mut sql = PgConnection::connect(&url).await.unwrap();
    let oids = "SELECT array_agg(oid::int8 ORDER BY oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace";
    let before: Vec<i64> = sqlx::query_scalar(oids).fetch_one(&mut sql).await.unwrap();
    start_server_with(config(&url)).await.stop().await;
    let after: Vec<i64> = sqlx::query_scalar(oids).fetch_one(&mut sql).await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test]
async fn functions_of_a_later_version_are_not_put_back() {
    let url = create_database().await;
    let mut sql = PgConnection::connect(&url).await.unwrap();
    run(
        &mut sql,
        "UPDATE applied_functions SET revision = 1000000, sha256 = ''; DROP FUNCTION append",
    )
    .await;
    let told = refused_start(&url).await;
    assert!(told.contains("revision 1000000"), "{told}");
    let left: bool = sqlx::query_scalar("SELECT to_regproc('append') IS NULL")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert!(left);
}
