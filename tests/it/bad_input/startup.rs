//! C rows: invalid settings, and databases that are down, slow, not ours, or read-only. A failed start reports at once
//! what is wrong and where; callers of a running server wait no longer than necessary.

use std::{str::FromStr, time::Duration};

use dateline_client::Client;
use dateline_proto::{
    DESCRIPTORS,
    v1::{GetRecordRequest, ListRecordsRequest, WatchRequest},
};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, UnixStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{actor, answer, assert_answer, assert_serves, record};
use crate::support::{
    builders::create_request,
    cli::{CommandOutput, dateline, program},
    editing, server,
    server::{TIMEOUT, config, create_database, start_server_with},
};

const SECRET: &str = "correct-horse-battery";

/// Runs a start that has to fail, within the timeout of the command's own tests.
async fn refused(arguments: &[&str]) -> CommandOutput {
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
        (&["--read-pool-size", "many"], 2, "--read-pool-size"),
        (&["--read-pool-size", "0"], 2, "--read-pool-size"),
        (&["--checkpoint-interval", "0s"], 2, "--checkpoint-interval"),
        (&["--checkpoint-interval", "1y"], 2, "--checkpoint-interval"),
        (&["--statement-timeout=-1s"], 2, "--statement-timeout"),
        (&["--max-request-bytes", "1e9"], 2, "--max-request-bytes"),
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
        .env("DATELINE_READ_POOL_SIZE", "4\n")
        .output()
        .await
        .unwrap();
    assert_eq!(variable.status.code(), Some(2), "#140: {variable:?}");
}

/// A server that asks for a password and always refuses it.
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
    let ours = create_database().await;
    let elsewhere = |what: &str, instead: &str| ours.replace(what, instead);
    let (_, name) = ours.split_once("localhost/").unwrap();
    let (name, _) = name.split_once('?').unwrap();
    let newer = create_database().await;
    editing::execute_sql(
        &newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of tomorrow', true, '', 0)",
    )
    .await;
    let foreign = create_database().await;
    editing::execute_sql(&foreign, "DROP TABLE _sqlx_migrations").await;
    let tables = editing::dump_tables(&foreign).await.len();
    let frozen = create_database().await;
    let (_, frozen_name) = frozen.split_once("localhost/").unwrap();
    let (frozen_name, _) = frozen_name.split_once('?').unwrap();
    let freeze = format!("ALTER DATABASE {frozen_name} SET default_transaction_read_only = on");
    editing::execute_sql(&frozen, &freeze).await;
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
    assert_eq!(editing::dump_tables(&foreign).await.len(), tables);
}

/// A proxy to a database that can be closed and opened.
struct Gate {
    url: String,
    open: watch::Sender<bool>,
}

impl Gate {
    /// Makes a closed gate to the tests' own Postgres.
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
    let gate = Gate::before(&create_database().await).await;
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
        tokio::time::timeout(TIMEOUT, reading)
            .await
            .expect("it says so")
    };
    said("waiting for the database").await;
    // It is logged repeatedly.
    said("waiting for the database").await;
    gate.open();
    let line = said("serving address=").await;
    let (_, address) = line.split_once("serving address=").unwrap();
    dateline(address.trim(), &["health"]).await.ok();
    child.kill().await.unwrap();
}

/// The health status of the server and of each service of the schema.
async fn health_of(client: &Client) -> Vec<(String, ServingStatus)> {
    let mut health = HealthClient::new(client.channel());
    let services = DESCRIPTORS.services();
    let ours = services.filter(|service| service.package_name() == "dateline.v1");
    let ours = ours.map(|service| service.full_name().to_owned());
    let mut all = Vec::new();
    for service in std::iter::once(String::new()).chain(ours) {
        let request = HealthCheckRequest {
            service: service.clone(),
        };
        let answer = tokio::time::timeout(TIMEOUT, health.check(request)).await;
        let answer = answer.expect("health is answered").unwrap().into_inner();
        all.push((service, answer.status()));
    }
    all
}

fn are_all(all: &[(String, ServingStatus)], status: ServingStatus) -> bool {
    assert_eq!(all.len(), 8, "the server, and seven services: {all:?}");
    all.iter().all(|(_, told)| *told == status)
}

#[tokio::test]
async fn c3_while_the_database_is_away_at_the_start_calls_are_answered_and_health_says_no() {
    let gate = Gate::before(&create_database().await).await;
    let mut settings = config(&gate.url);
    settings.listen = free_address().await.into();
    let address = settings.listen.to_string();
    let meanwhile = async {
        editing::wait_until("it listens", async || {
            Client::connect(&address).await.is_ok()
        })
        .await;
        let client = Client::connect(&address).await.unwrap();
        let told = health_of(&client).await;
        assert!(are_all(&told, ServingStatus::NotServing), "{told:?}");
        refused_while_away(client.clone()).await;
        assert_eq!(dateline(&address, &["health"]).await.code, 4);
        gate.open();
        client
    };
    let (server, client) = tokio::join!(start_server_with(settings), meanwhile);
    // On the same connection, and at once.
    let told = health_of(&client).await;
    assert!(are_all(&told, ServingStatus::Serving), "{told:?}");
    let found = client.clone().records.get_record(nobody()).await;
    assert_eq!(found.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

/// A free address, known before the server listens.
async fn free_address() -> std::net::SocketAddr {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
    port.local_addr().unwrap()
}

fn nobody() -> GetRecordRequest {
    GetRecordRequest {
        name: "actors/nobody".to_owned(),
        ..GetRecordRequest::default()
    }
}

/// Asserts that a read, a write and a stream are refused at once.
async fn refused_while_away(mut client: Client) {
    let away = answer(
        Code::Unavailable,
        "STORE_UNAVAILABLE",
        "the server is starting",
    );
    let calls = async {
        let read = client.records.get_record(nobody()).await.map(drop);
        let written = client.editorial.commit(create_request(&[])).await.map(drop);
        let watched = client.feed.watch(WatchRequest::default()).await.map(drop);
        [read, written, watched]
    };
    let calls = tokio::time::timeout(TIMEOUT, calls).await;
    for status in calls.expect("calls are answered").map(Result::unwrap_err) {
        assert_answer("C3", &status, &away);
        let details = tonic_types::StatusExt::get_error_details(&status);
        assert!(details.retry_info().is_some(), "{status:?}");
    }
}

#[tokio::test]
async fn c3_a_server_that_cannot_start_frees_its_address() {
    let gate = Gate::before(&create_database().await).await;
    let stop = CancellationToken::new();
    let mut settings = config(&gate.url);
    let address = free_address().await;
    settings.listen = address.into();
    let stopping = async {
        editing::wait_until("it listens", async || {
            Client::connect(&address.to_string()).await.is_ok()
        })
        .await;
        stop.cancel();
    };
    let starting = tokio::time::timeout(TIMEOUT, dateline_server::start(settings, stop.clone()));
    let (ended, ()) = tokio::join!(starting, stopping);
    assert!(ended.expect("it gives up").is_err());
    editing::wait_until("the address is free", async || {
        TcpListener::bind(address).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn f12_health_is_not_called_back_while_a_server_drains() {
    let gate = Gate::before(&create_database().await).await;
    gate.open();
    let stop = CancellationToken::new();
    let mut settings = config(&gate.url);
    settings.shutdown_grace_period = Duration::from_secs(20);
    let running = dateline_server::start(settings, stop.clone())
        .await
        .unwrap();
    let client = Client::connect(&running.address.to_string()).await.unwrap();
    let mut health = HealthClient::new(client.channel());
    let mut watched = health
        .watch(HealthCheckRequest {
            service: "dateline.v1.ExportService".to_owned(),
        })
        .await
        .unwrap()
        .into_inner();
    // The first status may be that of a server that still starts.
    while watched.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
    let mut said = vec![ServingStatus::Serving];
    // Away and back, and away once more while the server drains: the open watch keeps its connection.
    gate.shut();
    said.push(watched.message().await.unwrap().unwrap().status());
    gate.open();
    said.push(watched.message().await.unwrap().unwrap().status());
    stop.cancel();
    said.push(watched.message().await.unwrap().unwrap().status());
    gate.shut();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    gate.open();
    let more = tokio::time::timeout(Duration::from_secs(4), watched.message()).await;
    if let Ok(Ok(Some(more))) = more {
        said.push(more.status());
    }
    let (up, down) = (ServingStatus::Serving, ServingStatus::NotServing);
    assert_eq!(said, [up, down, up, down]);
    drop((watched, health, client));
    running.wait().await.unwrap();
}

#[tokio::test]
async fn c3_a_database_that_goes_away_is_unavailable_and_back_by_itself() {
    let gate = Gate::before(&create_database().await).await;
    gate.open();
    let server = start_server_with(config(&gate.url)).await;
    let create =
        |id: &str| create_request(&[record(&actor(json!({"name": format!("actors/{id}")})))]);
    server.client.commit(create("before")).await.unwrap();
    gate.shut();
    let get = GetRecordRequest {
        name: "actors/before".to_owned(),
        view: dateline_proto::v1::View::Desk.into(),
        ..GetRecordRequest::default()
    };
    let (mut records, mut editorial) = (
        server.client.records.clone(),
        server.client.editorial.clone(),
    );
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
    let health = async || dateline(&server.address, &["health"]).await.code;
    editing::wait_until("it is not ready", async || health().await != 0).await;
    gate.open();
    editing::wait_until("it is ready again", async || health().await == 0).await;
    records.get_record(get).await.unwrap();
    server.client.commit(create("after")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn c3_a_database_that_is_slow_costs_no_more_than_the_time_of_a_statement() {
    let mut config = config(&create_database().await);
    config.store.statement_timeout = Duration::from_secs(1);
    let server = start_server_with(config).await;
    crate::support::gold::publish_gold(&server).await;
    let mut blocker = PgConnection::connect(&server.url).await.unwrap();
    blocker
        .execute("BEGIN; LOCK TABLE records IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut records = server.client.records.clone();
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
    let create = create_request(&[record(&actor(json!({})))]);
    let status = server
        .client
        .editorial
        .clone()
        .commit(create)
        .await
        .unwrap_err();
    assert_answer("C3", &status, &slow);
    blocker.execute("ROLLBACK").await.unwrap();
    assert_serves(&server).await;
    assert_eq!(
        editing::feed_heads(&server.url).await.0,
        94,
        "nothing is half done"
    );
    server.stop().await;
}

#[tokio::test]
async fn c3_a_database_that_takes_no_writes_is_read_and_taken_up_again() {
    let server = server::start_server().await;
    crate::support::gold::publish_gold(&server).await;
    let name: String = {
        let mut sql = PgConnection::connect(&server.url).await.unwrap();
        let name = sqlx::query_scalar("SELECT current_database()::text");
        name.fetch_one(&mut sql).await.unwrap()
    };
    // Like a failover: connections are terminated, and new ones are read-only.
    let frozen = |how: &str| {
        format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {how};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND application_name = 'dateline'"
        )
    };
    editing::execute_sql(&server.url, &frozen("on")).await;
    let create = || create_request(&[record(&actor(json!({})))]);
    let mut editorial = server.client.editorial.clone();
    let away = answer(
        Code::Unavailable,
        "STORE_UNAVAILABLE",
        "the database cannot be reached",
    );
    for _ in 0..5 {
        let status = editorial.commit(create()).await.unwrap_err();
        assert_answer("C3", &status, &away);
    }
    editing::wait_until("it can be read", async || {
        let get = editing::get_request("actors/nato", dateline_proto::v1::View::Published);
        server.client.records.clone().get_record(get).await.is_ok()
    })
    .await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    sql.execute("SET default_transaction_read_only = off")
        .await
        .unwrap();
    sql.execute(sqlx::AssertSqlSafe(frozen("off")))
        .await
        .unwrap();
    editing::wait_until("it takes writes", async || {
        editorial.commit(create()).await.is_ok()
    })
    .await;
    assert_eq!(editing::feed_heads(&server.url).await.0, 95, "once");
    server.stop().await;
}
