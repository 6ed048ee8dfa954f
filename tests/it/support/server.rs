//! The test environment: one private Postgres for the whole run, a database of its own for each test, and servers
//! inside the test process.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use dateline_client::Client;
use dateline_server::{Config, Database, Limits, Running};
use dateline_store::{Settings, Store};
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Maximum wait for a condition that must become true.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// The command line program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_dateline");

const TEMPLATE: &str = "dateline_template";

/// URL of a database of the run's cluster, which is started on first use and ends with the process.
fn cluster_url(database: &str) -> String {
    static PREFIX: OnceLock<String> = OnceLock::new();
    let url = PREFIX.get_or_init(|| {
        let (told, hears) = std::sync::mpsc::channel();
        // The cluster's tasks need a runtime that outlives every test's own.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let cluster = dateline_embedded_postgres::Cluster::start(cluster_options())
                    .await
                    .expect("the tests' Postgres starts");
                prepare_template(&cluster).await;
                told.send(cluster.url("DATABASE")).unwrap();
                std::future::pending::<()>().await;
            });
        });
        hears.recv().expect("the tests' Postgres starts")
    });
    url.replace("DATABASE", database)
}

fn cluster_options() -> dateline_embedded_postgres::Options {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    remove_leftovers(directory);
    let mut options = dateline_embedded_postgres::Options::new(
        directory.join(format!("pg-{}", std::process::id())),
        PROGRAM,
    );
    // The data need not survive a power cut, and every test is faster without fsync.
    options.durable = false;
    options.purpose = "cargo test".to_owned();
    options
}

/// Removes clusters of earlier runs whose process is gone.
fn remove_leftovers(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("pg-")
            .and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

async fn prepare_template(cluster: &dateline_embedded_postgres::Cluster) {
    cluster.ensure_database(TEMPLATE).await.unwrap();
    let store = Store::connect(&cluster.url(TEMPLATE), &Settings::default())
        .await
        .unwrap();
    store.close().await;
    // `.ci/sabotage` breaks the database on purpose, to check that tests notice.
    if let Ok(file) = std::env::var("DATELINE_SABOTAGE") {
        let sql = std::fs::read_to_string(file).expect("the sabotage can be read");
        let mut template = PgConnection::connect(&cluster.url(TEMPLATE)).await.unwrap();
        template
            .execute(sqlx::AssertSqlSafe(sql))
            .await
            .expect("the sabotage works");
    }
}

/// Makes an empty database with the current schema, and a feed of its own.
pub async fn create_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static MAKING: Mutex<()> = Mutex::const_new(());
    let url = tokio::task::spawn_blocking(|| cluster_url("postgres"))
        .await
        .unwrap();
    let name = format!("t{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let one_at_a_time = MAKING.lock().await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
    admin.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    drop(one_at_a_time);
    let url = cluster_url(&name);
    let mut fresh = PgConnection::connect(&url).await.unwrap();
    fresh
        .execute("UPDATE feed SET id = gen_random_uuid(), token_key = sha256(gen_random_uuid()::text::bytea)")
        .await
        .unwrap();
    url
}

/// A server inside the test process, and its client.
pub struct TestServer {
    pub client: Client,
    pub address: String,
    pub url: String,
    running: Option<Running>,
}

/// The default configuration of servers in tests.
pub fn config(url: &str) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database: Database::Url(url.to_owned()),
        tls: None,
        metrics: None,
        store: Settings {
            read_pool_size: 4,
            ..Settings::default()
        },
        limits: Limits::default(),
        access: dateline_access::Settings::default(),
        bootstrap_token_file: None,
        reflection: true,
        record_cache_bytes: dateline_server::DEFAULT_RECORD_CACHE_BYTES,
        checkpoint_interval: Duration::from_secs(5),
        shutdown_grace_period: Duration::from_secs(5),
    }
}

/// Starts a server on a database of its own.
pub async fn start_server() -> TestServer {
    start_server_with(config(&create_database().await)).await
}

/// Starts a server with this configuration.
pub async fn start_server_with(config: Config) -> TestServer {
    let url = match &config.database {
        Database::Url(url) => url.clone(),
        Database::Embedded(_) => String::new(),
    };
    let running = dateline_server::start(config, CancellationToken::new())
        .await
        .unwrap();
    let address = running.address.to_string();
    let client = Client::connect(&address).await.unwrap();
    TestServer {
        client,
        address,
        url,
        running: Some(running),
    }
}

impl TestServer {
    /// Stops the server gracefully.
    pub async fn stop(mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }
}

/// A directory that is deleted with the test.
pub fn temp_dir() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().to_owned();
    (directory, path)
}
