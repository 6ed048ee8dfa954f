//! F6: copies of a cluster's files. A copy that is simply started has the system identifier, timeline and objects of
//! its original: nothing in the database reveals it, but the change that a cursor identifies does.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use dateline_proto::v1::View;
use tokio::process::Command;

use super::{
    dropped_history::{cursor_at, publish_some},
    restores::Cursors,
};
use crate::support::{
    editing::{create_base, execute_sql, feed_heads},
    replica::{get_feed, next_response, read_to_error},
    server::{TIMEOUT, TestServer, config, start_server_with},
    tools::{or_skip, run_tool},
    watch::{open_watch, read_changes, watch_from_cursor},
};

/// Clusters of Postgres, each in a directory of its own; dropping this stops them.
struct Clusters {
    keep: tempfile::TempDir,
    programs: PathBuf,
    running: Vec<String>,
}

/// The directory of the programs: from `PG_BIN_DIR`, Debian's location, or the path.
fn programs() -> Result<PathBuf, String> {
    let mut candidates: Vec<PathBuf> = std::env::var_os("PG_BIN_DIR")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    let found = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    candidates.extend(found.map(|entry| entry.path().join("bin")));
    let whole = candidates.into_iter().find(|directory| {
        let there = |program| directory.join(program).exists();
        ["initdb", "pg_ctl", "pg_basebackup"].into_iter().all(there)
    });
    whole.ok_or_else(|| "there is no directory with initdb, pg_ctl and pg_basebackup".to_owned())
}

impl Clusters {
    async fn new() -> Option<Self> {
        let programs = or_skip(programs(), "copies of clusters")?;
        let keep = tempfile::tempdir().unwrap();
        std::fs::set_permissions(keep.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let clusters = Self {
            keep,
            programs,
            running: Vec::new(),
        };
        let original = clusters.directory("original");
        clusters
            .run(
                "initdb",
                &[
                    "-D",
                    &original,
                    "-U",
                    "postgres",
                    "-A",
                    "trust",
                    "-E",
                    "UTF8",
                    "--locale=C",
                    "--no-sync",
                ],
            )
            .await;
        let settings = format!(
            "listen_addresses = ''\nfsync = off\nwal_level = replica\narchive_mode = on\n\
             archive_command = 'cp %p {}/archive/%f'\n",
            clusters.path().display()
        );
        clusters
            .run_program(
                "mkdir",
                &[&format!("{}/archive", clusters.path().display())],
            )
            .await;
        let file = format!("{original}/postgresql.conf");
        let conf = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, conf + &settings).unwrap();
        Some(clusters)
    }

    fn path(&self) -> &Path {
        self.keep.path()
    }

    fn directory(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs a program as a user other than root, which Postgres refuses.
    async fn run_program(&self, program: &str, arguments: &[&str]) {
        let mut command = if nix::unistd::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=nobody",
                "--regid=nogroup",
                "--clear-groups",
                program,
            ]);
            command
        } else {
            Command::new(program)
        };
        command.args(arguments).current_dir("/");
        // The server that `pg_ctl` starts keeps its output open.
        command.stdin(std::process::Stdio::null());
        run_tool(&mut command, TIMEOUT * 2).await.unwrap();
    }

    async fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        self.run_program(program.to_str().unwrap(), arguments).await;
    }

    /// Starts a cluster, with a socket of its own.
    async fn start(&mut self, name: &str) {
        let directory = self.directory(name);
        let socket = self.directory(&format!("{name}.socket"));
        if !Path::new(&socket).exists() {
            self.run_program("mkdir", &[&socket]).await;
        }
        let options = format!("-c unix_socket_directories={socket}");
        self.run(
            "pg_ctl",
            &[
                "-D",
                &directory,
                "-w",
                "-l",
                &format!("{directory}.log"),
                "-o",
                &options,
                "start",
            ],
        )
        .await;
        self.running.push(name.to_owned());
    }

    async fn stop(&mut self, name: &str, mode: &str) {
        self.run(
            "pg_ctl",
            &["-D", &self.directory(name), "-m", mode, "-w", "stop"],
        )
        .await;
        self.running.retain(|running| running != name);
    }

    fn url(&self, name: &str, database: &str) -> String {
        let socket = self
            .directory(&format!("{name}.socket"))
            .replace('/', "%2F");
        format!("postgres://postgres@localhost/{database}?host={socket}")
    }

    /// Starts a server on a cluster's database.
    async fn serve(&self, name: &str) -> TestServer {
        start_server_with(config(&self.url(name, "news"))).await
    }

    /// Starts the original with a server, and publishes three records.
    async fn original(&mut self) -> TestServer {
        self.start("original").await;
        execute_sql(&self.url("original", "postgres"), "CREATE DATABASE news").await;
        let server = self.serve("original").await;
        create_base(&server.client).await;
        server
    }

    async fn base_backup(&self, name: &str, more: &[&str]) {
        let socket = self.directory("original.socket");
        let directory = self.directory(name);
        let fixed = [
            "-h",
            &socket,
            "-U",
            "postgres",
            "-D",
            &directory,
            "-c",
            "fast",
            "--no-sync",
        ];
        self.run("pg_basebackup", &[&fixed[..], more].concat())
            .await;
    }
}

impl Drop for Clusters {
    fn drop(&mut self) {
        for name in std::mem::take(&mut self.running) {
            let pid = std::fs::read_to_string(self.path().join(name).join("postmaster.pid"));
            let pid = pid
                .ok()
                .and_then(|text| text.lines().next()?.trim().parse().ok());
            if let Some(pid) = pid {
                // Immediate shutdown; it waits for no session.
                let _ = nix::sys::signal::kill(
                    crate::support::process::pid(pid),
                    nix::sys::signal::Signal::SIGQUIT,
                );
            }
        }
    }
}

/// The way in which a copy is made and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    BaseBackup,
    Volume,
    Standby,
    PointInTime,
}

async fn copied(how: Copied) {
    let Some(mut clusters) = Clusters::new().await else {
        return;
    };
    let server = clusters.original().await;
    let mut cursors = Cursors::before(&server).await;
    match how {
        Copied::BaseBackup => clusters.base_backup("copy", &[]).await,
        Copied::Volume => {
            // Like a volume snapshot of a running cluster.
            execute_sql(&server.url, "CHECKPOINT").await;
            let copy = clusters.directory("copy");
            clusters
                .run_program("cp", &["-a", &clusters.directory("original"), &copy])
                .await;
            std::fs::remove_file(format!("{copy}/postmaster.pid")).unwrap();
        }
        Copied::Standby => {
            clusters.base_backup("copy", &["-R"]).await;
            clusters.start("copy").await;
            // It lags: it does not receive later changes.
            clusters.stop("copy", "fast").await;
        }
        Copied::PointInTime => {
            clusters.base_backup("copy", &[]).await;
            execute_sql(&server.url, "SELECT pg_create_restore_point('before')").await;
        }
    }
    cursors.lose(&server).await;
    if how == Copied::PointInTime {
        execute_sql(&server.url, "SELECT pg_switch_wal()").await;
    }
    server.stop().await;
    clusters.stop("original", "fast").await;
    if how == Copied::PointInTime {
        let copy = clusters.directory("copy");
        let settings = format!(
            "\nrestore_command = 'cp {}/archive/%f %p'\nrecovery_target_name = 'before'\n\
             recovery_target_action = 'promote'\n",
            clusters.path().display()
        );
        let file = format!("{copy}/postgresql.conf");
        let conf = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, conf + &settings).unwrap();
        clusters
            .run_program("touch", &[&format!("{copy}/recovery.signal")])
            .await;
    }
    clusters.start("copy").await;
    match how {
        Copied::Standby => {
            clusters
                .run(
                    "pg_ctl",
                    &["-D", &clusters.directory("copy"), "-w", "promote"],
                )
                .await;
        }
        Copied::PointInTime => {
            let url = clusters.url("copy", "news");
            crate::support::editing::wait_until("recovery ends", async || {
                let mut sql = <sqlx::PgConnection as sqlx::Connection>::connect(&url)
                    .await
                    .unwrap();
                let is_over: bool = sqlx::query_scalar("SELECT NOT pg_is_in_recovery()")
                    .fetch_one(&mut sql)
                    .await
                    .unwrap();
                is_over
            })
            .await;
        }
        Copied::BaseBackup | Copied::Volume => {}
    }
    let server = clusters.serve("copy").await;
    cursors.judge(&format!("{how:?}"), &server).await;
    server.stop().await;
}

#[tokio::test]
async fn f6_a_base_backup_that_is_started_plainly_takes_no_cursor_of_what_it_lacks() {
    copied(Copied::BaseBackup).await;
}

#[tokio::test]
async fn f6_a_snapshot_of_a_volume_takes_no_cursor_of_what_it_lacks() {
    copied(Copied::Volume).await;
}

#[tokio::test]
async fn f6_a_promoted_standby_takes_no_cursor_of_what_it_lacks() {
    copied(Copied::Standby).await;
}

#[tokio::test]
async fn f6_a_recovery_to_a_point_in_time_takes_no_cursor_of_what_it_lacks() {
    copied(Copied::PointInTime).await;
}

/// A copy beside its original, both served and written to: nothing distinguishes them, and yet no stream continues
/// silently.
#[tokio::test]
async fn f6_a_copy_beside_its_original_takes_no_cursor_of_the_other() {
    let Some(mut clusters) = Clusters::new().await else {
        return;
    };
    let here = clusters.original().await;
    let cursors = Cursors::before(&here).await;
    clusters.base_backup("copy", &[]).await;
    clusters.start("copy").await;
    let there = clusters.serve("copy").await;
    let mut cut = Vec::new();
    for number in 1..=4 {
        for (server, word) in [(&here, "here"), (&there, "there")] {
            publish_some(&server.client, &format!("{word}-{number}"), 1).await;
            cut.push(cursor_at(server, cursors.kept + number).await);
        }
    }
    let ours = get_feed(&here, View::Published).await;
    let theirs = get_feed(&there, View::Published).await;
    assert_eq!(
        (ours.feed, ours.epoch, ours.head_sequence),
        (theirs.feed, theirs.epoch, theirs.head_sequence)
    );
    for (number, cursor) in cut.iter().enumerate() {
        let (from, to) = if number % 2 == 0 {
            (&here, &there)
        } else {
            (&there, &here)
        };
        open_watch(&from.client, watch_from_cursor(View::Published, cursor)).await;
        crate::support::replica::watch_err(to, watch_from_cursor(View::Published, cursor))
            .await
            .assert_is(tonic::Code::FailedPrecondition, "CURSOR_FOREIGN");
    }
    here.stop().await;
    there.stop().await;
}

/// Another copy of the database answers at the same address: the server remembers the history that it has seen.
#[tokio::test]
async fn f6_files_that_are_put_back_under_a_running_server_are_told_to_open_streams() {
    let Some(mut clusters) = Clusters::new().await else {
        return;
    };
    let server = clusters.original().await;
    let mut cursors = Cursors::before(&server).await;
    clusters.base_backup("copy", &[]).await;
    cursors.lose(&server).await;
    let mut stream = open_watch(
        &server.client,
        watch_from_cursor(View::Published, &cursors.lost[2]),
    )
    .await;
    next_response(&mut stream).await;
    clusters.stop("original", "immediate").await;
    // In the same directory, with the same socket; another server writes before this one has reconnected.
    let (original, copy) = (clusters.directory("original"), clusters.directory("copy"));
    clusters
        .run_program("mv", &[&original, &format!("{original}.before")])
        .await;
    clusters.run_program("mv", &[&copy, &original]).await;
    clusters.start("original").await;
    let other = clusters.serve("original").await;
    publish_some(&other.client, "found", 8).await;
    read_to_error(stream)
        .await
        .assert_is(tonic::Code::FailedPrecondition, "CURSOR_FOREIGN");
    cursors.judge_after("files put back", &server).await;
    cursors.judge_after("files put back", &other).await;
    server.stop().await;
    other.stop().await;
}

/// Restarts without loss begin no history, and every cursor stays valid.
#[tokio::test]
async fn f6_restarts_and_crashes_keep_the_history_and_every_cursor() {
    let Some(mut clusters) = Clusters::new().await else {
        return;
    };
    let mut server = clusters.original().await;
    let epoch = get_feed(&server, View::Published).await.epoch;
    for (number, what) in [
        "server",
        "restart",
        "crash",
        "crash under a server",
        "checkpoint",
    ]
    .into_iter()
    .enumerate()
    {
        let (_, head) = feed_heads(&server.url).await;
        let cursor = cursor_at(&server, head).await;
        publish_some(&server.client, &format!("after-{number}"), 2).await;
        if what == "crash under a server" {
            clusters.stop("original", "immediate").await;
            clusters.start("original").await;
            crate::support::editing::wait_until("the desk writes again", async || {
                let draft = [crate::support::records::actor("again")];
                let request = crate::support::builders::create_request(&draft);
                server
                    .client
                    .clone()
                    .editorial
                    .commit(request)
                    .await
                    .is_ok()
            })
            .await;
        }
        // Connections that died in a crash fail a few more calls, which clients retry.
        server.stop().await;
        match what {
            "restart" => {
                clusters.stop("original", "fast").await;
                clusters.start("original").await;
            }
            "crash" => {
                clusters.stop("original", "immediate").await;
                clusters.start("original").await;
            }
            "checkpoint" => execute_sql(&clusters.url("original", "news"), "CHECKPOINT").await,
            _ => {}
        }
        server = clusters.serve("original").await;
        let seen = read_changes(&server, watch_from_cursor(View::Published, &cursor), 2).await;
        assert_eq!(seen[0].name, format!("actors/after-{number}-0"), "{what}");
        assert_eq!(
            get_feed(&server, View::Published).await.epoch,
            epoch,
            "{what}"
        );
    }
    server.stop().await;
}
