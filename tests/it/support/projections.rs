//! Projections as the database has them: their lag, their rows, held back, and made again.

use sqlx::{Connection, Executor, PgConnection};

use super::editing::wait_until;

/// Waits until the projections are at the head of the feed.
pub async fn wait_projected(url: &str) {
    let mut sql = PgConnection::connect(url).await.unwrap();
    wait_until("the projections are at the head", async || {
        let behind =
            "SELECT bool_and(version > 0 AND changes_behind = 0) FROM projection_lag".to_owned();
        sqlx::query_scalar(sqlx::AssertSqlSafe(behind))
            .fetch_one(&mut sql)
            .await
            .unwrap()
    })
    .await;
}

/// Keeps every server from the projections, as if another one worked on them.
pub async fn hold_projections(sql: &mut PgConnection) {
    sql.execute("UPDATE projections SET worker = gen_random_uuid(), worker_until = 'infinity'")
        .await
        .unwrap();
}

/// Lets the servers continue.
pub async fn release_projections(sql: &mut PgConnection) {
    sql.execute("UPDATE projections SET worker_until = '-infinity'")
        .await
        .unwrap();
}

/// All rows of the documents, in the order of their names.
pub async fn documents(sql: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT row_to_json(d)::text FROM documents AS d ORDER BY name")
        .fetch_all(sql)
        .await
        .unwrap()
}

/// All keys of actors, in the order of their names.
pub async fn actor_keys(sql: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT row_to_json(k)::text FROM actor_keys AS k ORDER BY name")
        .fetch_all(sql)
        .await
        .unwrap()
}

/// All rows of the search index, in the order of their names.
pub async fn index_rows(sql: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar("SELECT row_to_json(s)::text FROM search AS s ORDER BY name")
        .fetch_all(sql)
        .await
        .unwrap()
}

/// Compares the rows with those that are made from the beginning of the log, row for row. Returns the number of
/// documents.
pub async fn assert_equal_to_rebuilt(url: &str) -> usize {
    wait_projected(url).await;
    let mut sql = PgConnection::connect(url).await.unwrap();
    let (followed, keys) = (documents(&mut sql).await, actor_keys(&mut sql).await);
    let indexed = index_rows(&mut sql).await;
    sql.execute(
        "DELETE FROM documents; DELETE FROM actor_keys; DELETE FROM search; UPDATE projections SET version = 0",
    )
    .await
    .unwrap();
    wait_projected(url).await;
    let rebuilt = documents(&mut sql).await;
    assert_eq!(
        keys,
        actor_keys(&mut sql).await,
        "keys followed, and made again"
    );
    for (one, other) in followed.iter().zip(&rebuilt) {
        assert_eq!(one, other, "followed, and made again");
    }
    assert_eq!(followed.len(), rebuilt.len());
    let indexed_again = index_rows(&mut sql).await;
    for (one, other) in indexed.iter().zip(&indexed_again) {
        assert_eq!(one, other, "indexed, and indexed again");
    }
    assert_eq!(indexed.len(), indexed_again.len());
    assert_eq!(indexed.len(), rebuilt.len());
    let records: i64 = sqlx::query_scalar("SELECT count(*) FROM records WHERE state <> 'deleted'")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(i64::try_from(rebuilt.len()).unwrap(), records);
    rebuilt.len()
}
