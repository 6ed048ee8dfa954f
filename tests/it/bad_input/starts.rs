//! C rows: settings that cannot be, and databases that are away, slow, of somebody else, or do not take writes. Whoever
//! starts a server is told what and where, at once; whoever has one waits no longer than it takes.

use std::{str::FromStr, time::Duration};

use dateline::proto::v1::{GetRecordRequest, ListRecordsRequest};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, UnixStream},
    sync::watch,
};
use tonic::Code;

use super::{actor, answer, assert_answer, assert_serves, record};
use crate::{
    cli::{Done, dateline, program},
    life::hands,
    rig::{self, PATIENCE, config, create_all, database, site_on},
};

const SECRET: &str = "correct-horse-battery";

/// A start that has to fail; within the patience of the command's own tests.
async fn refused(arguments: &[&str]) -> Done {
    let words = [
        &["serve", "--listen", "127.0.0.1:0", "--log", "off"],
        arguments,
    ]
    .concat();
    dateline("", &words).await
}

#[tokio::test]
async fn c1_a_setting_that_cannot_be_is_told_by_its_name_and_nothing_starts() {
    for (arguments, code, told) in [
        (&["--no-such-flag"][..], 2, "--no-such-flag"),
        (&["--readers", "many"], 2, "--readers"),
        (&["--readers", "0"], 2, "--readers"),
        (&["--checkpoint-seconds", "0"], 2, "--checkpoint-seconds"),
        (
            &["--checkpoint-seconds", "315360000"],
            2,
            "--checkpoint-seconds",
        ),
        (&["--statement-seconds=-1"], 2, "--statement-seconds"),
        (&["--message-bytes", "1e9"], 2, "--message-bytes"),
        (&["--log-format", "xml"], 2, "--log-format"),
        (&["--database-url", "not a url"], 1, "URL"),
        (&["--database-url", "mysql://root@localhost/x"], 1, "URL"),
        (&["--database-url", ""], 1, "URL"),
        (&["--data-dir", "/proc/dateline"], 1, "/proc/dateline"),
        (&["--metrics-listen", "192.0.2.1:1"], 1, "192.0.2.1:1"),
    ] {
        let done = refused(arguments).await;
        assert_eq!(done.code, code, "{arguments:?}: {}", done.stderr);
        assert!(done.stderr.contains(told), "{arguments:?}: {}", done.stderr);
        assert!(
            !done.stderr.contains("::"),
            "{arguments:?}: {}",
            done.stderr
        );
    }
    let listens = dateline("", &["serve", "--listen", "nowhere"]).await;
    assert_eq!(listens.code, 2, "{}", listens.stderr);
    let variable = program("", &["serve"])
        .env("DATELINE_READERS", "4\n")
        .output()
        .await
        .unwrap();
    assert_eq!(variable.status.code(), Some(2), "#140: {variable:?}");
}

/// A server that asks for a password, and says that it is wrong.
async fn suspicious() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut said = [0; 1024];
            let _ = stream.read(&mut said).await;
            // AuthenticationCleartextPassword.
            let _ = stream.write_all(b"R\0\0\0\x08\0\0\0\x03").await;
            let _ = stream.read(&mut said).await;
            let fields =
                b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"desk\"\0\0";
            let length = u32::try_from(fields.len() + 4).unwrap();
            let error = [&b"E"[..], &length.to_be_bytes(), fields].concat();
            let _ = stream.write_all(&error).await;
        }
    });
    format!("postgres://desk:{SECRET}@{address}/dateline?sslmode=disable")
}

#[tokio::test]
async fn c1_a_database_that_is_not_ours_is_told_and_left_as_it_is() {
    let ours = database().await;
    let elsewhere = |what: &str, instead: &str| ours.replace(what, instead);
    let (_, name) = ours.split_once("localhost/").unwrap();
    let (name, _) = name.split_once('?').unwrap();
    let newer = database().await;
    hands::behind(
        &newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of tomorrow', true, '', 0)",
    )
    .await;
    let foreign = database().await;
    hands::behind(&foreign, "DROP TABLE _sqlx_migrations").await;
    let tables = hands::dump(&foreign).await.len();
    let frozen = database().await;
    let (_, frozen_name) = frozen.split_once("localhost/").unwrap();
    let (frozen_name, _) = frozen_name.split_once('?').unwrap();
    let freeze = format!("ALTER DATABASE {frozen_name} SET default_transaction_read_only = on");
    hands::behind(&frozen, &freeze).await;
    for (url, told) in [
        (suspicious().await, "password authentication failed"),
        (elsewhere(name, "no_such_database"), "no_such_database"),
        (elsewhere("postgres@", "nobody_here@"), "nobody_here"),
        (newer, "9999"),
        (foreign.clone(), "another program"),
        (frozen.clone(), "read-only"),
    ] {
        let done = refused(&["--database-url", &url]).await;
        assert_eq!(done.code, 1, "{told}: {}", done.stderr);
        assert!(done.stderr.contains(told), "{told}: {}", done.stderr);
        assert!(!done.stderr.contains(SECRET), "{}", done.stderr);
        assert!(done.stderr.lines().count() <= 2, "{told}: {}", done.stderr);
    }
    assert_eq!(hands::dump(&foreign).await.len(), tables);
}

/// A way to a database that can be shut and opened.
struct Gate {
    url: String,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Before the tests' own Postgres, shut.
    async fn before(url: &str) -> Self {
        let options = PgConnectOptions::from_str(url).unwrap();
        let directory = options.get_socket().expect("it is reached by a socket");
        let socket = directory.join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let (socket, mut is_open) = (socket.clone(), is_open.clone());
                tokio::spawn(async move {
                    if !*is_open.borrow_and_update() {
                        return;
                    }
                    let mut inside = UnixStream::connect(socket).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                        _ = is_open.wait_for(|is_open| !is_open) => {}
                    }
                });
            }
        });
        let database = options.get_database().unwrap();
        let url = format!("postgres://postgres@{address}/{database}?sslmode=disable");
        Self { url, open }
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    fn shut(&self) {
        self.open.send_replace(false);
    }
}

#[tokio::test]
async fn c3_a_server_whose_database_is_away_waits_says_so_and_serves_when_it_comes() {
    let gate = Gate::before(&database().await).await;
    let words = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &gate.url,
    ];
    let mut child = program("", &words).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = async |what: &str| {
        let reading = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it goes on");
                if line.contains(what) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("it says so")
    };
    said("waiting for the database").await;
    // Not only once.
    said("waiting for the database").await;
    gate.open();
    let line = said("serving address=").await;
    let (_, address) = line.split_once("serving address=").unwrap();
    dateline(address.trim(), &["health"]).await.ok();
    child.kill().await.unwrap();
}

#[tokio::test]
async fn c3_a_database_that_goes_away_is_unavailable_and_back_by_itself() {
    let gate = Gate::before(&database().await).await;
    gate.open();
    let site = site_on(config(&gate.url)).await;
    let create = |id: &str| create_all(&[record(&actor(json!({"name": format!("actors/{id}")})))]);
    site.client.commit(create("before")).await.unwrap();
    gate.shut();
    let get = GetRecordRequest {
        name: "actors/before".to_owned(),
        view: dateline::proto::v1::View::Desk.into(),
        ..GetRecordRequest::default()
    };
    let (mut records, mut editorial) = (site.client.records.clone(), site.client.editorial.clone());
    let away = answer(
        Code::Unavailable,
        "STORE_UNAVAILABLE",
        "the database cannot be reached",
    );
    let read = records.get_record(get.clone()).await.unwrap_err();
    assert_answer("C3", &read, &away);
    let written = editorial.commit(create("meanwhile")).await.unwrap_err();
    assert_answer("C3", &written, &away);
    for status in [read, written] {
        let details = tonic_types::StatusExt::get_error_details(&status);
        assert!(details.retry_info().is_some(), "{status:?}");
    }
    let health = async || dateline(&site.address, &["health"]).await.code;
    hands::until("it is not ready", async || health().await != 0).await;
    gate.open();
    hands::until("it is ready again", async || health().await == 0).await;
    records.get_record(get).await.unwrap();
    site.client.commit(create("after")).await.unwrap();
    site.stop().await;
}

#[tokio::test]
async fn c3_a_database_that_is_slow_costs_no_more_than_the_time_of_a_statement() {
    let mut config = config(&database().await);
    config.store.statement_timeout = Duration::from_secs(1);
    let site = site_on(config).await;
    crate::gold::publish_gold(&site).await;
    let mut blocker = PgConnection::connect(&site.url).await.unwrap();
    blocker
        .execute("BEGIN; LOCK TABLE records IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut records = site.client.records.clone();
    let slow = answer(
        Code::DeadlineExceeded,
        "DEADLINE_EXCEEDED",
        "the database took too long",
    );
    let status = records
        .list_records(ListRecordsRequest::default())
        .await
        .unwrap_err();
    assert_answer("C3", &status, &slow);
    let create = create_all(&[record(&actor(json!({})))]);
    let status = site
        .client
        .editorial
        .clone()
        .commit(create)
        .await
        .unwrap_err();
    assert_answer("C3", &status, &slow);
    blocker.execute("ROLLBACK").await.unwrap();
    assert_serves(&site).await;
    assert_eq!(hands::heads(&site.url).await.0, 94, "nothing is half done");
    site.stop().await;
}

#[tokio::test]
async fn c3_a_database_that_takes_no_writes_is_read_and_taken_up_again() {
    let site = rig::site().await;
    crate::gold::publish_gold(&site).await;
    let name: String = {
        let mut sql = PgConnection::connect(&site.url).await.unwrap();
        let name = sqlx::query_scalar("SELECT current_database()::text");
        name.fetch_one(&mut sql).await.unwrap()
    };
    // As after a failover: those who are connected are sent away, and come to one that only reads.
    let frozen = |how: &str| {
        format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {how};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND application_name = 'dateline'"
        )
    };
    hands::behind(&site.url, &frozen("on")).await;
    let create = || create_all(&[record(&actor(json!({})))]);
    let mut editorial = site.client.editorial.clone();
    let away = answer(
        Code::Unavailable,
        "STORE_UNAVAILABLE",
        "the database cannot be reached",
    );
    for _ in 0..5 {
        let status = editorial.commit(create()).await.unwrap_err();
        assert_answer("C3", &status, &away);
    }
    hands::until("it can be read", async || {
        let get = hands::get_request("actors/nato", dateline::proto::v1::View::Published);
        site.client.records.clone().get_record(get).await.is_ok()
    })
    .await;
    let mut sql = PgConnection::connect(&site.url).await.unwrap();
    sql.execute("SET default_transaction_read_only = off")
        .await
        .unwrap();
    sql.execute(sqlx::AssertSqlSafe(frozen("off")))
        .await
        .unwrap();
    hands::until("it takes writes", async || {
        editorial.commit(create()).await.is_ok()
    })
    .await;
    assert_eq!(hands::heads(&site.url).await.0, 95, "once");
    site.stop().await;
}
