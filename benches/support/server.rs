//! The environment of a benchmark: a private Postgres with fsync on, a server on it in this process, and the gold
//! article with its records, published. Independent of what is measured.

use std::{path::Path, time::Duration};

use anyhow::Result;
use dateline::json;
use dateline_client::Client;
use dateline_proto::v1::{Bundle, CommitRequest, CommitResponse, PublishRecordsRequest, Record};
use dateline_server::{Config, Database, Limits, Running};
use dateline_store::Settings;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use super::test_support::builders::{create_request, versions};

const GOLD: &str = include_str!("../../seed/gold.json");

/// A server on a cluster of its own.
pub struct BenchServer {
    /// Address of the server.
    pub address: String,
    /// URL of the database.
    pub url: String,
    /// Client of the server.
    pub client: Client,
    cluster: dateline_embedded_postgres::Cluster,
    running: Option<Running>,
    _directory: tempfile::TempDir,
}

impl BenchServer {
    /// Starts everything, and publishes the gold records.
    pub async fn start() -> Result<Self> {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let directory = tempfile::tempdir_in(scratch)?;
        let mut options = dateline_embedded_postgres::Options::new(
            directory.path().join("pg"),
            env!("CARGO_BIN_EXE_dateline"),
        );
        options.purpose = "cargo bench".to_owned();
        let cluster = dateline_embedded_postgres::Cluster::start(options).await?;
        cluster
            .ensure_database(dateline_embedded_postgres::DATABASE)
            .await?;
        let url = cluster.url(dateline_embedded_postgres::DATABASE);
        let running = Box::pin(dateline_server::start(
            config(&url),
            CancellationToken::new(),
        ))
        .await?;
        try_out(&url).await?;
        let address = running.address.to_string();
        let client = Client::connect(&address).await?;
        publish(&client, gold()?).await?;
        Ok(Self {
            address,
            url,
            client,
            cluster,
            running: Some(running),
            _directory: directory,
        })
    }

    /// Starts another server in this process on the same database, with a cache of records of this size. Returns its
    /// address.
    pub async fn another_server(&self, record_cache_bytes: usize) -> Result<(String, Running)> {
        let config = Config {
            record_cache_bytes,
            ..config(&self.url)
        };
        let running = Box::pin(dateline_server::start(config, CancellationToken::new())).await?;
        Ok((running.address.to_string(), running))
    }

    /// Creates an empty database on the cluster and returns its URL.
    pub async fn another(&self, name: &str) -> Result<String> {
        self.cluster.ensure_database(name).await?;
        Ok(self.cluster.url(name))
    }

    /// Stops the server of this process, so that a child process can serve instead.
    pub async fn stop_server(&mut self) -> Result<()> {
        if let Some(running) = self.running.take() {
            running.stop().await?;
        }
        Ok(())
    }

    /// Stops the server, then its database.
    pub async fn stop(mut self) -> Result<()> {
        self.stop_server().await?;
        self.cluster.stop().await?;
        Ok(())
    }
}

/// Runs the SQL of `DATELINE_BENCH_SQL` on the database, to measure another index or another `append` before it becomes
/// a migration.
async fn try_out(url: &str) -> Result<()> {
    if let Ok(file) = std::env::var("DATELINE_BENCH_SQL") {
        let sql = std::fs::read_to_string(file)?;
        let mut connection = PgConnection::connect(url).await?;
        let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
        statements.execute(&mut connection).await?;
        connection.close().await?;
    }
    Ok(())
}

fn config(url: &str) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database: Database::Url(url.to_owned()),
        tls: None,
        metrics: None,
        store: Settings::default(),
        limits: Limits::default(),
        access: dateline_access::Settings::default(),
        bootstrap_token_file: None,
        reflection: true,
        record_cache_bytes: dateline_server::DEFAULT_RECORD_CACHE_BYTES,
        checkpoint_interval: Duration::from_secs(5),
        shutdown_grace_period: Duration::from_secs(5),
    }
}

/// The gold records: an article and the records made from it.
pub fn gold() -> Result<Vec<Record>> {
    Ok(Vec::from(json::read::<Bundle>(GOLD)?))
}

/// A commit that creates drafts of these records.
pub fn creation(records: &[Record]) -> CommitRequest {
    CommitRequest {
        omit_content: true,
        ..create_request(records)
    }
}

/// Creates records in one commit, and publishes them in another.
pub async fn publish(client: &Client, records: Vec<Record>) -> Result<()> {
    let created: CommitResponse = client.commit(creation(&records)).await?;
    let request = PublishRecordsRequest {
        records: versions(&created.records),
        omit_content: true,
        ..PublishRecordsRequest::default()
    };
    client.publish(request).await?;
    Ok(())
}
