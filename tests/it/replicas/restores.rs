//! F6: every way in which a database can lose changes without a visible difference. Each restores a backup, writes more
//! than was lost, so that the feed passes the old positions, and then resumes from the old cursors.

use dateline_proto::v1::View;
use tokio::process::Command;
use tonic::Code;

use super::dropped_history::{cursor_at, publish_some};
use crate::support::{
    editing::{execute_sql, feed_heads, start_server_with_base, wait_until},
    replica::{get_feed, next_response, read_to_error, watch_err},
    server::{TIMEOUT, TestServer, config, start_server_with, temp_dir},
    tools::{or_skip, run_tool},
    watch::{open_watch, read_changes, watch_from_cursor},
};

/// Number of lost changes.
pub const LOST: i64 = 5;

/// Cursors from before the loss.
pub struct Cursors {
    /// The last change that is in the backup.
    pub kept: i64,
    safe: String,
    pub lost: Vec<String>,
}

impl Cursors {
    /// Takes the cursor at the head: everything up to it is kept.
    pub async fn before(server: &TestServer) -> Self {
        let (_, kept) = feed_heads(&server.url).await;
        Self {
            kept,
            safe: cursor_at(server, kept).await,
            lost: Vec::new(),
        }
    }

    /// Publishes the changes to be lost, and takes a cursor at each.
    pub async fn lose(&mut self, server: &TestServer) {
        for number in 1..=LOST {
            publish_some(&server.client, &format!("lost-{number}"), 1).await;
            self.lost.push(cursor_at(server, self.kept + number).await);
        }
    }

    /// Checks a server on the restored database: every cursor of a lost change is refused, both before and after the
    /// feed has passed it, and a consumer that saw none of them misses nothing.
    pub async fn judge(&self, variant: &str, server: &TestServer) {
        assert_eq!(
            feed_heads(&server.url).await.1,
            self.kept,
            "{variant}: {LOST} are lost"
        );
        for cursor in &self.lost {
            let refusal = watch_err(server, watch_from_cursor(View::Published, cursor)).await;
            assert!(
                ["CURSOR_FOREIGN", "CURSOR_IN_FUTURE"].contains(&refusal.reason.as_str()),
                "{variant}: {refusal:?}"
            );
        }
        publish_some(&server.client, "found", 8).await;
        self.judge_after(variant, server).await;
    }

    /// Checks the same after eight changes.
    pub async fn judge_after(&self, variant: &str, server: &TestServer) {
        for cursor in &self.lost {
            let refusal = watch_err(server, watch_from_cursor(View::Published, cursor)).await;
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::FailedPrecondition, "CURSOR_FOREIGN"),
                "{variant}: {refusal:?}"
            );
        }
        let seen = read_changes(server, watch_from_cursor(View::Published, &self.safe), 8).await;
        let seen: Vec<_> = seen.iter().map(|change| change.name.as_str()).collect();
        let found: Vec<_> = (0..8)
            .map(|number| format!("actors/found-{number}"))
            .collect();
        assert_eq!(seen, found, "{variant}");
    }
}

/// The name of the database in a URL, and the URL of the cluster's own.
fn parts(url: &str) -> (String, String) {
    let (before, _) = url.split_once('?').unwrap();
    let name = before.rsplit('/').next().unwrap().to_owned();
    let admin = url.replace(&format!("/{name}?"), "/postgres?");
    (name, admin)
}

async fn tool(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    run_tool(command.args(arguments), TIMEOUT).await.unwrap();
}

async fn tools() -> Option<()> {
    let there = async {
        for program in ["pg_dump", "pg_restore", "psql"] {
            run_tool(Command::new(program).arg("--version"), TIMEOUT).await?;
        }
        Ok(())
    };
    or_skip(there.await, "dumps and restores")
}

/// The way in which the database is restored from an earlier backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restore {
    Clean,
    Schema,
    DropDatabase,
    DataOnly,
    Template,
    ByHand,
}

impl Restore {
    async fn back_up(self, url: &str, file: &str) {
        match self {
            Self::Schema => tool("pg_dump", &["--file", file, url]).await,
            Self::Template => {
                let (name, admin) = parts(url);
                execute_sql(
                    &admin,
                    &format!("CREATE DATABASE {name}_copy TEMPLATE {name}"),
                )
                .await;
            }
            Self::ByHand => {}
            _ => tool("pg_dump", &["--format=custom", "--file", file, url]).await,
        }
    }

    async fn restore(self, url: &str, file: &str, kept: i64) {
        let (name, admin) = parts(url);
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        match self {
            Self::Clean => {
                tool(
                    "pg_restore",
                    &["--clean", "--if-exists", "--dbname", url, file],
                )
                .await;
            }
            Self::Schema => {
                execute_sql(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
                let quiet = ["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"];
                tool("psql", &[&quiet[..], &["--file", file, url]].concat()).await;
            }
            Self::DropDatabase => {
                execute_sql(&admin, &drop).await;
                execute_sql(&admin, &format!("CREATE DATABASE {name}")).await;
                tool("pg_restore", &["--dbname", url, file]).await;
            }
            Self::DataOnly => {
                execute_sql(
                    url,
                    "DROP TRIGGER audit_is_only_added_to ON audit;
                     TRUNCATE feed, changes, epochs, records, links, requests, tokens, audit, _sqlx_migrations,
                         applied_functions, projections, documents, actor_keys, search",
                )
                .await;
                tool("pg_restore", &["--data-only", "--dbname", url, file]).await;
            }
            Self::Template => {
                execute_sql(&admin, &drop).await;
                execute_sql(
                    &admin,
                    &format!("ALTER DATABASE {name}_copy RENAME TO {name}"),
                )
                .await;
            }
            Self::ByHand => {
                execute_sql(
                    url,
                    &format!(
                        "BEGIN;
                         DELETE FROM records WHERE wire_sequence > {kept};
                         DELETE FROM links WHERE source NOT IN (SELECT name FROM records);
                         DELETE FROM changes WHERE name NOT IN (SELECT name FROM records);
                         UPDATE feed SET
                             desk_head = (SELECT max(desk_sequence) FROM changes),
                             wire_head = {kept},
                             desk_tally = counted_tally('{{draft,in_review,embargoed,published}}'),
                             wire_tally = counted_tally('{{published}}');
                         COMMIT;"
                    ),
                )
                .await;
            }
        }
    }
}

/// Restores while the server is stopped: only the database itself can reveal it.
async fn restored_while_stopped(restore: Restore) {
    if tools().await.is_none() {
        return;
    }
    let (_keep, directory) = temp_dir();
    let file = directory.join("backup").to_str().unwrap().to_owned();
    let mut server = start_server_with_base().await;
    let url = server.url.clone();
    let mut cursors = Cursors::before(&server).await;
    let epoch = get_feed(&server, View::Published).await.epoch;
    if restore == Restore::Template {
        // The copied database must have no connections.
        server.stop().await;
        restore.back_up(&url, &file).await;
        server = start_server_with(config(&url)).await;
    } else {
        restore.back_up(&url, &file).await;
    }
    cursors.lose(&server).await;
    server.stop().await;
    restore.restore(&url, &file, cursors.kept).await;
    let server = start_server_with(config(&url)).await;
    let now = get_feed(&server, View::Published).await.epoch;
    assert_ne!(now, epoch, "{restore:?}: a new history begins at once");
    cursors.judge(&format!("{restore:?}"), &server).await;
    // The new history stays the same after a restart.
    server.stop().await;
    let server = start_server_with(config(&url)).await;
    assert_eq!(get_feed(&server, View::Published).await.epoch, now);
    cursors.judge_after(&format!("{restore:?}"), &server).await;
    server.stop().await;
}

#[tokio::test]
async fn f6_a_clean_restore_into_the_same_database_begins_a_history() {
    restored_while_stopped(Restore::Clean).await;
}

#[tokio::test]
async fn f6_a_dump_that_is_read_into_a_new_schema_begins_a_history() {
    restored_while_stopped(Restore::Schema).await;
}

#[tokio::test]
async fn f6_a_dump_that_is_read_into_a_new_database_of_the_same_name_begins_a_history() {
    restored_while_stopped(Restore::DropDatabase).await;
}

#[tokio::test]
async fn f6_rows_that_are_restored_into_the_same_tables_begin_a_history() {
    restored_while_stopped(Restore::DataOnly).await;
}

#[tokio::test]
async fn f6_a_copy_by_template_that_takes_the_place_of_its_original_begins_a_history() {
    restored_while_stopped(Restore::Template).await;
}

#[tokio::test]
async fn f6_a_feed_that_was_put_back_by_hand_begins_a_history() {
    restored_while_stopped(Restore::ByHand).await;
}

/// Restores under a running server with an open stream that has seen the lost changes.
#[tokio::test]
async fn f6_a_restore_under_a_running_server_is_told_to_open_streams() {
    if tools().await.is_none() {
        return;
    }
    for restore in [Restore::Clean, Restore::DataOnly] {
        let (_keep, directory) = temp_dir();
        let file = directory.join("backup").to_str().unwrap().to_owned();
        let server = start_server_with_base().await;
        let url = server.url.clone();
        let mut cursors = Cursors::before(&server).await;
        restore.back_up(&url, &file).await;
        cursors.lose(&server).await;
        let mut stream = open_watch(
            &server.client,
            watch_from_cursor(View::Published, &cursors.lost[4]),
        )
        .await;
        next_response(&mut stream).await;
        restore.restore(&url, &file, cursors.kept).await;
        wait_until("the desk writes again", async || {
            let drafts = [crate::support::records::actor("found-0")];
            let request = crate::support::builders::create_request(&drafts);
            server
                .client
                .clone()
                .editorial
                .commit(request)
                .await
                .is_ok()
        })
        .await;
        let draft = crate::support::editing::desk_record(&server.client, "actors/found-0").await;
        crate::support::editing::publish_all(&server.client, &[draft]).await;
        for number in 1..8 {
            let name = format!("found-{number}");
            crate::support::editing::create_published(
                &server.client,
                &crate::support::records::actor(&name),
            )
            .await;
        }
        read_to_error(stream)
            .await
            .assert_is(Code::FailedPrecondition, "CURSOR_FOREIGN");
        cursors
            .judge_after(&format!("{restore:?} under a server"), &server)
            .await;
        server.stop().await;
    }
}

/// A dump copies the row, but not the tables' identifiers: each of the two alone detects a restore.
#[tokio::test]
async fn f6_the_home_tells_tables_that_were_made_anew() {
    let server = start_server_with_base().await;
    let home = async || -> String {
        let mut sql = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url)
            .await
            .unwrap();
        sqlx::query_scalar("SELECT feed_home()")
            .fetch_one(&mut sql)
            .await
            .unwrap()
    };
    let before = home().await;
    execute_sql(
        &server.url,
        "ALTER TABLE feed RENAME TO old; CREATE TABLE feed AS SELECT * FROM old",
    )
    .await;
    assert_ne!(home().await, before);
    server.stop().await;
}

/// The service marks every write of the feed's row, so nothing that it does looks like a restore.
#[tokio::test]
async fn f6_nothing_that_the_service_does_begins_a_history() {
    let server = start_server_with_base().await;
    let epoch = get_feed(&server, View::Published).await.epoch;
    let moved = async |what: &str| {
        let mut sql = <sqlx::PgConnection as sqlx::Connection>::connect(&server.url)
            .await
            .unwrap();
        let moved: bool = sqlx::query_scalar("SELECT feed_has_moved()")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        assert!(!moved, "{what}");
    };
    moved("commits").await;
    let (desk, _) = feed_heads(&server.url).await;
    super::dropped_history::compact(&server, desk, false).await;
    moved("a compaction").await;
    for (what, statements) in [
        ("VACUUM FULL", "VACUUM FULL feed; VACUUM FULL changes"),
        ("CLUSTER", "CLUSTER feed USING feed_pkey"),
        ("REINDEX", "REINDEX TABLE feed; REINDEX TABLE changes"),
        (
            "VACUUM FREEZE",
            "VACUUM FREEZE feed; VACUUM FREEZE changes; ANALYZE",
        ),
    ] {
        for statement in statements.split(';') {
            execute_sql(&server.url, statement).await;
        }
        moved(what).await;
        publish_some(&server.client, &what.to_lowercase().replace(' ', "-"), 1).await;
        moved(what).await;
    }
    assert_eq!(get_feed(&server, View::Published).await.epoch, epoch);
    let feed = get_feed(&server, View::Published).await.feed;
    let mut admin =
        dateline_proto::v1::admin_service_client::AdminServiceClient::new(server.client.channel());
    let request = dateline_proto::v1::ForkFeedRequest { feed };
    admin.fork_feed(request).await.unwrap();
    moved("a fork").await;
    server.stop().await;
}
