//! F6: every way in which a database can lose changes and look as before. Each restores a backup, writes more than was lost,
//! so that the feed runs past the old positions, and asks with the cursors of then.

use dateline::proto::v1::View;
use tokio::process::Command;
use tonic::Code;

use super::{
    follower::{end, feed_of, next, open, refused, resume},
    histories::{cursor_at, publish_some},
};
use crate::{
    gold::changes,
    life::hands::{base, behind, heads, until},
    rig::{PATIENCE, Site, config, scratch, site_on},
    tools::{or_skip, run},
};

/// How many changes are lost.
pub const LOST: i64 = 5;

/// Cursors that were cut before the loss.
pub struct Cursors {
    /// The last change that is in the backup.
    pub kept: i64,
    safe: String,
    pub lost: Vec<String>,
}

impl Cursors {
    /// Takes the cursor at the head: what is there now is kept.
    pub async fn before(site: &Site) -> Self {
        let (_, kept) = heads(&site.url).await;
        Self {
            kept,
            safe: cursor_at(site, kept).await,
            lost: Vec::new(),
        }
    }

    /// Publishes what will be lost, and takes a cursor at each change.
    pub async fn lose(&mut self, site: &Site) {
        for number in 1..=LOST {
            publish_some(&site.client, &format!("lost-{number}"), 1).await;
            self.lost.push(cursor_at(site, self.kept + number).await);
        }
    }

    /// At a server on the restored database: no cursor of what is lost is taken, be it before the feed has run past it or
    /// after, and whoever saw nothing of it misses nothing.
    pub async fn judge(&self, variant: &str, site: &Site) {
        assert_eq!(
            heads(&site.url).await.1,
            self.kept,
            "{variant}: {LOST} are lost"
        );
        for cursor in &self.lost {
            let refusal = refused(site, resume(View::Published, cursor)).await;
            assert!(
                ["CURSOR_FOREIGN", "CURSOR_IN_FUTURE"].contains(&refusal.reason.as_str()),
                "{variant}: {refusal:?}"
            );
        }
        publish_some(&site.client, "found", 8).await;
        self.judge_after(variant, site).await;
    }

    /// The same, after eight changes.
    pub async fn judge_after(&self, variant: &str, site: &Site) {
        for cursor in &self.lost {
            let refusal = refused(site, resume(View::Published, cursor)).await;
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::FailedPrecondition, "CURSOR_FOREIGN"),
                "{variant}: {refusal:?}"
            );
        }
        let seen = changes(site, resume(View::Published, &self.safe), 8).await;
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
    run(command.args(arguments), PATIENCE).await.unwrap();
}

async fn tools() -> Option<()> {
    let there = async {
        for program in ["pg_dump", "pg_restore", "psql"] {
            run(Command::new(program).arg("--version"), PATIENCE).await?;
        }
        Ok(())
    };
    or_skip(there.await, "dumps and restores")
}

/// What is done to the database, in which a backup was made before.
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
                behind(
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
                behind(url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
                let quiet = ["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"];
                tool("psql", &[&quiet[..], &["--file", file, url]].concat()).await;
            }
            Self::DropDatabase => {
                behind(&admin, &drop).await;
                behind(&admin, &format!("CREATE DATABASE {name}")).await;
                tool("pg_restore", &["--dbname", url, file]).await;
            }
            Self::DataOnly => {
                behind(
                    url,
                    "DROP TRIGGER audit_is_only_added_to ON audit;
                     TRUNCATE feed, changes, epochs, records, links, requests, tokens, audit, _sqlx_migrations,
                         applied_functions",
                )
                .await;
                tool("pg_restore", &["--data-only", "--dbname", url, file]).await;
            }
            Self::Template => {
                behind(&admin, &drop).await;
                behind(
                    &admin,
                    &format!("ALTER DATABASE {name}_copy RENAME TO {name}"),
                )
                .await;
            }
            Self::ByHand => {
                behind(
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

/// With the server stopped: nothing but the database itself can tell.
async fn restored_while_stopped(restore: Restore) {
    if tools().await.is_none() {
        return;
    }
    let (_keep, directory) = scratch();
    let file = directory.join("backup").to_str().unwrap().to_owned();
    let mut site = base().await;
    let url = site.url.clone();
    let mut cursors = Cursors::before(&site).await;
    let epoch = feed_of(&site, View::Published).await.epoch;
    if restore == Restore::Template {
        // Nobody may be connected to what is copied.
        site.stop().await;
        restore.back_up(&url, &file).await;
        site = site_on(config(&url)).await;
    } else {
        restore.back_up(&url, &file).await;
    }
    cursors.lose(&site).await;
    site.stop().await;
    restore.restore(&url, &file, cursors.kept).await;
    let site = site_on(config(&url)).await;
    let now = feed_of(&site, View::Published).await.epoch;
    assert_ne!(now, epoch, "{restore:?}: a new history begins at once");
    cursors.judge(&format!("{restore:?}"), &site).await;
    // And it stays, once it has begun.
    site.stop().await;
    let site = site_on(config(&url)).await;
    assert_eq!(feed_of(&site, View::Published).await.epoch, now);
    cursors.judge_after(&format!("{restore:?}"), &site).await;
    site.stop().await;
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

/// Under a running server with an open stream, which has seen what is lost.
#[tokio::test]
async fn f6_a_restore_under_a_running_server_is_told_to_open_streams() {
    if tools().await.is_none() {
        return;
    }
    for restore in [Restore::Clean, Restore::DataOnly] {
        let (_keep, directory) = scratch();
        let file = directory.join("backup").to_str().unwrap().to_owned();
        let site = base().await;
        let url = site.url.clone();
        let mut cursors = Cursors::before(&site).await;
        restore.back_up(&url, &file).await;
        cursors.lose(&site).await;
        let mut stream = open(&site, resume(View::Published, &cursors.lost[4])).await;
        next(&mut stream).await;
        restore.restore(&url, &file, cursors.kept).await;
        until("the desk writes again", async || {
            let drafts = [crate::life::hands::actor("found-0")];
            let request = crate::rig::create_all(&drafts);
            site.client.clone().editorial.commit(request).await.is_ok()
        })
        .await;
        let draft = crate::life::hands::on_desk(&site.client, "actors/found-0").await;
        crate::life::hands::show(&site.client, &[draft]).await;
        for number in 1..8 {
            let name = format!("found-{number}");
            crate::life::hands::shown(&site.client, &crate::life::hands::actor(&name)).await;
        }
        end(stream)
            .await
            .is(Code::FailedPrecondition, "CURSOR_FOREIGN");
        cursors
            .judge_after(&format!("{restore:?} under a server"), &site)
            .await;
        site.stop().await;
    }
}

/// A dump carries the row along, and not the tables' numbers: each of the two alone tells a restore.
#[tokio::test]
async fn f6_the_home_tells_tables_that_were_made_anew() {
    let site = base().await;
    let home = async || -> String {
        let mut sql = <sqlx::PgConnection as sqlx::Connection>::connect(&site.url)
            .await
            .unwrap();
        sqlx::query_scalar("SELECT feed_home()")
            .fetch_one(&mut sql)
            .await
            .unwrap()
    };
    let before = home().await;
    behind(
        &site.url,
        "ALTER TABLE feed RENAME TO old; CREATE TABLE feed AS SELECT * FROM old",
    )
    .await;
    assert_ne!(home().await, before);
    site.stop().await;
}

/// Whoever writes the row of the feed says so: nothing that the service does itself looks like a restore.
#[tokio::test]
async fn f6_nothing_that_the_service_does_begins_a_history() {
    let site = base().await;
    let epoch = feed_of(&site, View::Published).await.epoch;
    let moved = async |what: &str| {
        let mut sql = <sqlx::PgConnection as sqlx::Connection>::connect(&site.url)
            .await
            .unwrap();
        let moved: bool = sqlx::query_scalar("SELECT feed_has_moved()")
            .fetch_one(&mut sql)
            .await
            .unwrap();
        assert!(!moved, "{what}");
    };
    moved("commits").await;
    let (desk, _) = heads(&site.url).await;
    super::histories::compact(&site, desk, false).await;
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
            behind(&site.url, statement).await;
        }
        moved(what).await;
        publish_some(&site.client, &what.to_lowercase().replace(' ', "-"), 1).await;
        moved(what).await;
    }
    assert_eq!(feed_of(&site, View::Published).await.epoch, epoch);
    let feed = feed_of(&site, View::Published).await.feed;
    let mut admin =
        dateline::proto::v1::admin_service_client::AdminServiceClient::new(site.client.channel());
    let request = dateline::proto::v1::ForkFeedRequest { feed };
    admin.fork_feed(request).await.unwrap();
    moved("a fork").await;
    site.stop().await;
}
