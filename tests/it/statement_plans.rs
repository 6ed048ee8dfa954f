//! Plans of the statements that depend on a filter or a position. A statement that is prepared once gets a plan for any
//! values after five executions, and that plan reads every match for one page. The rows that Postgres fetched tell, not
//! the time.

use std::time::Duration;

use dateline_proto::v1::View;
use dateline_record::filter::Filter;
use dateline_store::{FeedView, Settings, Store};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{
    editing::wait_until,
    gold::publish_gold,
    matching::matched,
    projections::wait_projected,
    server::{TIMEOUT, start_server},
};

/// Pages that are read; the plan for any values would be taken from the sixth on.
const PAGES: i64 = 10;
/// Records of a page.
const PAGE: usize = 100;

/// Clones an actor as published records, of which every second has its facets, and behind them as drafts.
const FILL: &str = "
    WITH template AS (
        SELECT changes.*, coalesce(kept.content, changes.content) AS full_content
        FROM changes
        LEFT JOIN changes AS kept ON kept.desk_sequence = changes.content_at
        WHERE changes.name = 'actors/nato' AND changes.wire_sequence IS NOT NULL
    ), clones AS (
        SELECT number, number <= 10000 AS published, 'actors/a' || lpad(number::text, 6, '0') AS new_name
        FROM generate_series(1, 20000) AS number
    ), logged AS (
        INSERT INTO changes (
            desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before,
            content, meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, author,
            accepted_at)
        SELECT
            desk_head + number, desk_head + number, CASE WHEN published THEN wire_head + number END,
            CASE WHEN published THEN wire_head + number END, type, new_name, kind, revision,
            CASE WHEN published THEN state ELSE 'draft' END, state_before, full_content, meta,
            CASE WHEN number % 2 = 0 THEN facets ELSE '{}' END, '{}', days, NULL, changed_fields, note, merged_into,
            author, accepted_at
        FROM clones, template, feed
        RETURNING name, kind, state, revision, desk_sequence, wire_sequence, facets
    )
    INSERT INTO records (
        name, uid, kind, state, revision, desk_sequence, wire_sequence, facets, keys)
    SELECT name, gen_random_uuid(), kind, state, revision, desk_sequence, wire_sequence, facets, '{}'
    FROM logged";

/// Returns how many rows of `records` and of `changes` index scans have fetched, in all sessions so far.
async fn fetched(sql: &mut PgConnection) -> (i64, i64) {
    sql.execute("SELECT pg_stat_clear_snapshot()")
        .await
        .unwrap();
    sqlx::query_as(
        "SELECT sum(n) FILTER (WHERE relname = 'records')::bigint, sum(n) FILTER (WHERE relname = 'changes')::bigint
         FROM (SELECT relname, idx_tup_fetch + seq_tup_read AS n FROM pg_stat_user_tables) AS tables",
    )
    .fetch_one(sql)
    .await
    .unwrap()
}

/// A facet of the first actor that the second does not have.
async fn facet_of(sql: &mut PgConnection, name: &str, but_not_of: &str) -> Filter {
    let facet = sqlx::query_scalar(
        "SELECT facet FROM records, unnest(facets) AS facet
         WHERE name = $1 AND NOT facet = ANY (SELECT unnest(facets) FROM records WHERE name = $2)
         ORDER BY facet LIMIT 1",
    );
    let facet = facet.bind(name).bind(but_not_of).fetch_one(sql).await;
    Filter {
        dimensions: vec![vec![facet.unwrap()]],
        ..Filter::default()
    }
}

#[tokio::test]
async fn a_page_reads_its_own_rows_however_often_it_is_asked_for_and_whatever_matches() {
    let server = start_server().await;
    publish_gold(&server).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    sql.execute(FILL).await.unwrap();
    sql.execute("VACUUM ANALYZE records").await.unwrap();
    sql.execute("VACUUM ANALYZE changes").await.unwrap();
    let half = facet_of(&mut sql, "actors/nato", "actors/kazakhstan").await;
    let few = facet_of(&mut sql, "actors/kazakhstan", "actors/nato").await;
    let store = Store::connect(&server.url, &Settings::default())
        .await
        .unwrap();
    for (filter, after, what) in [
        (&Filter::default(), "", "the first page"),
        (&half, "", "a filter that half of the records match"),
        (&half, "actors/a005000", "the same, in the middle"),
        (&few, "", "a filter that few records match"),
        (
            &Filter::default(),
            "actors/a010000",
            "a page behind 10,000 drafts",
        ),
    ] {
        let before = fetched(&mut sql).await;
        let mut listed = 0;
        for _ in 0..PAGES {
            let page = store
                .list_records(filter, FeedView::Wire, after, PAGE)
                .await;
            listed += page.unwrap().records.len();
        }
        let listed = i64::try_from(listed).unwrap();
        assert!(listed >= PAGES, "{what}: {listed}");
        // Sessions report what they have fetched after a while, all tables at once.
        let reported = async {
            loop {
                let now = fetched(&mut sql).await;
                let (records, changes) = (now.0 - before.0, now.1 - before.1);
                if changes >= listed {
                    return records;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let records = tokio::time::timeout(TIMEOUT, reported).await.unwrap();
        assert!(
            records <= 4 * listed + 1000,
            "{what}: {records} rows for {listed} records"
        );
    }
    store.close().await;
    server.stop().await;
}

/// Rows of keys and of records that a match fetched at most: those of some keys with 500 records each, and of the
/// candidates.
const ROWS_OF_MATCH: i64 = 10_000;
/// Matches that are counted.
const MATCHES: i64 = 5;

#[tokio::test]
async fn a_match_reads_a_bounded_number_of_rows_of_each_key_however_many_actors_have_it() {
    let server = start_server().await;
    publish_gold(&server).await;
    wait_projected(&server.url).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    sql.execute(FILL).await.unwrap();
    // Every clone has the keys of its template.
    let keys = "INSERT INTO actor_keys (name, uid, keys)
        SELECT records.name, records.uid, template.keys
        FROM records, actor_keys AS template
        WHERE records.name LIKE 'actors/a______' AND template.name = 'actors/united-nations'
        ON CONFLICT DO NOTHING";
    sql.execute(keys).await.unwrap();
    sql.execute("VACUUM ANALYZE actor_keys").await.unwrap();
    sql.execute("VACUUM ANALYZE records").await.unwrap();
    let fetched = async |sql: &mut PgConnection| -> i64 {
        sql.execute("SELECT pg_stat_clear_snapshot()")
            .await
            .unwrap();
        let all = "SELECT sum(idx_tup_fetch + seq_tup_read)::bigint FROM pg_stat_user_tables
                   WHERE relname IN ('actor_keys', 'records', 'changes')";
        sqlx::query_scalar(all).fetch_one(sql).await.unwrap()
    };
    let before = fetched(&mut sql).await;
    for _ in 0..MATCHES {
        let began_at = std::time::Instant::now();
        let found = matched(
            &server.client,
            "United Nations Interim Force in Lebanon",
            View::Published,
        )
        .await;
        println!("a match took {:?}", began_at.elapsed());
        assert_eq!(found[0], "actors/unifil");
    }
    // Sessions report what they have fetched after a while.
    wait_until("the statements are reported", async || {
        fetched(&mut sql).await - before >= MATCHES * 500
    })
    .await;
    let rows = fetched(&mut sql).await - before;
    println!("{rows} rows");
    assert!(rows <= MATCHES * ROWS_OF_MATCH, "{rows}");
    server.stop().await;
}
