//! Projections follow the log: their rows are those of a projection from the beginning, by any number of servers; a
//! purge is in them at once (W11); lag is reported. `crash::projections` has kills.

use std::time::Duration;

use dateline_proto::v1::{Kind, View};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{
    editing::*,
    process::{free_address, scrape, serve_on},
    projections::*,
    server::{create_database, start_server},
};

/// State and headline of the articles, as people read them.
async fn articles(sql: &mut PgConnection) -> Vec<(String, String)> {
    sqlx::query_as("SELECT state, headline FROM articles ORDER BY name")
        .fetch_all(sql)
        .await
        .unwrap()
}

fn headed(id: &str, headline: &str) -> dateline_proto::v1::Record {
    let mut record = article(id);
    as_article(&mut record).headline = headline.to_owned();
    record
}

/// A record of each kind for each end that it can take.
async fn live(server: &crate::support::server::TestServer, prefix: &str) {
    let client = &server.client;
    for kind in KINDS {
        let named = |end: &str| record_of_kind(kind, &format!("{prefix}-{end}"));
        create_drafts(client, &[named("draft")]).await;
        let draft = create_drafts(client, &[named("deleted")]).await;
        commit_one(client, delete(&draft[0])).await;
        let draft = create_drafts(client, &[named("edited")]).await;
        commit_one(client, update(&with_text(&draft[0], "edited"), &[])).await;
        let public = create_published(client, &named("corrected")).await;
        let other = correct(&with_text(&public, "corrected"), &[], "it was wrong");
        commit_one(client, other).await;
        let public = create_published(client, &named("retracted")).await;
        commit_one(client, retract(&public, "all wrong", false)).await;
        let public = create_published(client, &named("erased")).await;
        commit_one(client, purge(&public, false)).await;
        let draft = create_drafts(client, &[named("erased-draft")]).await;
        commit_one(client, purge(&draft[0], false)).await;
        if kind != Kind::Article {
            let loser = create_published(client, &named("loser")).await;
            let winner = create_published(client, &named("winner")).await;
            commit_one(client, merge(&loser, &winner)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_those_of_a_projection_from_the_beginning_however_many_servers_follow() {
    let [one, two] = start_two_servers_with_base().await;
    tokio::join!(live(&one, "one"), live(&two, "two"));
    let rows = assert_equal_to_rebuilt(&one.url).await;
    assert!(rows > 2 * 4 * 5, "{rows}");
    // One server is left with the work, and with the hint of the other that it works on it.
    two.stop().await;
    live(&one, "three").await;
    assert!(assert_equal_to_rebuilt(&one.url).await > rows);
    one.stop().await;
}

#[tokio::test]
async fn a_step_is_taken_once_and_only_from_the_position_that_it_was_read_at() {
    let server = start_server_with_base().await;
    wait_projected(&server.url).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    hold_projections(&mut sql).await;
    let draft = create_drafts(&server.client, &[headed("again", "made again")]).await;
    let take = "SELECT project_documents(version, epoch + $4, $1, $2, ARRAY['articles/again'], ARRAY[$2], ARRAY[$3::jsonb])
                FROM projections WHERE name = 'documents'";
    let (head, _) = feed_heads(&server.url).await;
    for (from, document, epoch, is_taken) in [
        (head - 2, r#"{"headline":"from before"}"#, 0, false),
        (head - 1, r#"{"headline":"of another history"}"#, 1, false),
        (head - 1, r#"{"headline":"first"}"#, 0, true),
        (head - 1, r#"{"headline":"second"}"#, 0, false),
    ] {
        let taken: bool = sqlx::query_scalar(take)
            .bind(from)
            .bind(head)
            .bind(document)
            .bind(epoch)
            .fetch_one(&mut sql)
            .await
            .unwrap();
        assert_eq!(taken, is_taken, "{document}");
    }
    let headline = "SELECT headline FROM articles WHERE name = 'articles/again'";
    let headline: String = sqlx::query_scalar(headline)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(headline, "first");
    assert_eq!(name(&draft[0]), "articles/again");
    server.stop().await;
}

#[tokio::test]
async fn a_state_never_stands_beside_the_text_of_another_revision() {
    let server = start_server().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let draft = create_drafts(&server.client, &[headed("a", "unpublished words")]).await;
    wait_projected(&server.url).await;
    hold_projections(&mut sql).await;
    let mut edited = draft[0].clone();
    as_article(&mut edited).headline = "published words".into();
    let edited = commit_one(&server.client, update(&edited, &[])).await;
    commit_one(&server.client, publish(&edited)).await;
    let before = [("draft".to_owned(), "unpublished words".to_owned())];
    assert_eq!(articles(&mut sql).await, before);
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    let after = [("published".to_owned(), "published words".to_owned())];
    assert_eq!(articles(&mut sql).await, after);
    server.stop().await;
}

/// Rows of one record, whatever they say.
async fn rows_of(sql: &mut PgConnection, name: &str) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM documents WHERE name = $1")
        .bind(name)
        .fetch_one(sql)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn w11_a_purge_erases_what_is_projected_at_once_and_no_late_step_brings_it_back() {
    let server = start_server_with_base().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let known = create_published(&server.client, &headed("known", "zanzibarquince")).await;
    wait_projected(&server.url).await;
    hold_projections(&mut sql).await;
    // A step that has read the record, and not yet written it.
    let late = create_published(&server.client, &headed("late", "zanzibarquince")).await;
    let (head, _) = feed_heads(&server.url).await;
    let step = format!(
        "SELECT project_documents(version, epoch, position, {head}, ARRAY['articles/late'], ARRAY[{head}::bigint],
             ARRAY['{{\"headline\":\"zanzibarquince\"}}'::jsonb])
         FROM projections WHERE name = 'documents'"
    );
    // A step that is being written: the purge waits for it, and erases what it wrote.
    let mut writing = PgConnection::connect(&server.url).await.unwrap();
    writing.execute("BEGIN").await.unwrap();
    writing
        .execute(sqlx::AssertSqlSafe(step.clone()))
        .await
        .unwrap();
    let client = server.client.clone();
    let (one, other) = (purge(&late, false), purge(&known, false));
    let mut purging = tokio::spawn(async move { commit_ok(&client, vec![one, other]).await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut purging).await;
    assert!(early.is_err(), "the purge does not overtake the step");
    writing.execute("COMMIT").await.unwrap();
    purging.await.unwrap();
    assert_eq!(rows_of(&mut sql, "articles/late").await, 0);
    assert_eq!(rows_of(&mut sql, "articles/known").await, 0);
    // The same step, taken after the purge by a server that has read the record before it.
    let back = format!("UPDATE projections SET position = {head} - 2");
    sql.execute(sqlx::AssertSqlSafe(back)).await.unwrap();
    let taken: bool = sqlx::query_scalar(sqlx::AssertSqlSafe(step))
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert!(taken);
    assert_eq!(rows_of(&mut sql, "articles/late").await, 0);
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    // Readers see the same of them: a name without content.
    let left: Vec<(String, Option<String>)> = sqlx::query_as(
        "SELECT state, headline FROM articles WHERE name IN ('articles/late', 'articles/known')",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(left, vec![("retracted".to_owned(), None); 2]);
    assert!(
        find_record(&server.client, "articles/late", View::Published)
            .await
            .is_some()
    );
    server.stop().await;
}

#[tokio::test]
async fn rows_of_an_earlier_version_or_another_history_are_made_again_and_of_a_later_one_left_alone()
 {
    let server = start_server_with_base().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    wait_projected(&server.url).await;
    let right = documents(&mut sql).await;
    let spoil = "UPDATE documents SET document = '{}';
                 INSERT INTO documents
                 SELECT 'articles/unknown', gen_random_uuid(), kind, state, revision, desk_sequence, wire_sequence, days,
                     document
                 FROM documents LIMIT 1;";
    for reason in ["version = 0", "epoch = epoch - 1"] {
        let begin_again = format!("BEGIN; {spoil} UPDATE projections SET {reason}; COMMIT");
        sql.execute(sqlx::AssertSqlSafe(begin_again)).await.unwrap();
        wait_until("the rows are made again", async || {
            documents(&mut sql).await == right
        })
        .await;
    }
    wait_projected(&server.url).await;
    sql.execute("UPDATE projections SET version = 1000000")
        .await
        .unwrap();
    create_drafts(&server.client, &[article("later")]).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(documents(&mut sql).await, right);
    let behind: i64 =
        sqlx::query_scalar("SELECT changes_behind FROM projection_lag WHERE name = 'documents'")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(behind, 1);
    server.stop().await;
}

#[tokio::test]
async fn large_records_are_projected_in_several_steps_and_none_is_left_out() {
    let server = start_server().await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    hold_projections(&mut sql).await;
    for number in 0..12 {
        let body = "\u{20000}".repeat(150_000);
        let large = article_with_body(&format!("large-{number}"), &body);
        create_drafts(&server.client, &[large]).await;
    }
    release_projections(&mut sql).await;
    wait_projected(&server.url).await;
    assert_eq!(documents(&mut sql).await.len(), 12);
    server.stop().await;
}

/// Waits until the metrics have a line.
async fn wait_for_metric(metrics: &str, is_there: impl Fn(&str) -> bool) {
    wait_until("the metric has its value", async || {
        scrape(metrics).await.lines().any(&is_there)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_is_a_metric_and_a_view_and_ends_at_nothing() {
    let url = create_database().await;
    let mut sql = PgConnection::connect(&url).await.unwrap();
    hold_projections(&mut sql).await;
    let metrics = free_address();
    let server = serve_on(&url, &["--metrics-listen", &metrics]).await;
    let client = dateline_client::Client::connect(&server.address)
        .await
        .unwrap();
    create_drafts(&client, &[article("one"), article("two")]).await;
    let lag = "dateline_projection_lag{projection=\"documents\"} ";
    let seconds = "dateline_projection_lag_seconds{projection=\"documents\"} ";
    wait_for_metric(&metrics, |line| line == format!("{lag}2")).await;
    wait_for_metric(&metrics, |line| {
        let value = line.strip_prefix(seconds);
        value.is_some_and(|value| value.parse::<f64>().unwrap() > 0.0)
    })
    .await;
    let view = "SELECT changes_behind, behind > '0' FROM projection_lag WHERE name = 'documents'";
    let told: (i64, bool) = sqlx::query_as(view).fetch_one(&mut sql).await.unwrap();
    assert_eq!(told, (2, true));
    assert_eq!(articles(&mut sql).await, []);
    release_projections(&mut sql).await;
    wait_for_metric(&metrics, |line| line == format!("{lag}0")).await;
    wait_for_metric(&metrics, |line| line == format!("{seconds}0")).await;
    let told: (i64, bool) = sqlx::query_as(view).fetch_one(&mut sql).await.unwrap();
    assert_eq!(told, (0, false));
    assert_eq!(articles(&mut sql).await.len(), 2);
}
