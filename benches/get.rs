//! Reading one record by name: from memory, and from the database at a server that keeps no records. Compared with a
//! ready answer through the same server stack, and with the same `SELECT` from a pool like the server's.

mod support;

use anyhow::{Context, Result};
use bytes::Bytes;
use dateline_proto::v1::{GetRecordRequest, View};
use dateline_record::record::record_name;
use prost::Message;
use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::task::JoinSet;

use support::{
    compare::{BenchMode, Comparison, rate},
    constant::{Constant, UNARY},
    raw_client::{RawClient, all, call_all},
    records::Records,
    server::{BenchServer, gold, publish},
};

const GET: &str = "/dateline.v1.RecordService/GetRecord";
/// Records in the database: enough to make the index matter.
const RECORDS: usize = 5000;
/// Statement of `Store::get_record`.
const SELECT: &str = "SELECT feed.epoch, feed.desk_head, feed.xmin::text::bigint, changes.name, changes.kind,
           changes.state, changes.desk_sequence, changes.wire_sequence, changes.meta,
           CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
               SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
           END
    FROM feed
    LEFT JOIN (records JOIN changes ON changes.desk_sequence = records.desk_sequence)
        ON records.name = $1
        AND records.state <> 'deleted'
        AND ($2 OR records.state IN ('published', 'retracted', 'merged'))";
/// Statement of `VersionReader::read`, which a read from memory shares with all reads that wait.
const VERSION: &str = "SELECT epoch, desk_head, xmin::text::bigint FROM feed";

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let server = BenchServer::start().await?;
    let records = Records::new(&gold()?, 2000)?;
    for first in (0..RECORDS).step_by(500) {
        publish(
            &server.client,
            (first..first + 500).map(|n| records.nth(n)).collect(),
        )
        .await?;
    }
    let mut names = Vec::new();
    for number in 0..RECORDS {
        let name = record_name(&records.nth(number)).context("a record has a name")?;
        names.push(name.to_string());
    }
    let (uncached, another) = server.another_server(0).await?;
    let reads = Reads::new(&server, uncached, names).await?;
    for callers in [1, 16, 64] {
        reads.compare_memory(form, callers).await?;
        reads.compare_database(form, callers).await?;
    }
    reads.pool.close().await;
    another.stop().await?;
    server.stop().await
}

struct Reads {
    names: Vec<String>,
    address: String,
    /// A server that keeps no records.
    uncached: String,
    constant: String,
    pool: PgPool,
    answer_bytes: usize,
}

impl Reads {
    async fn new(server: &BenchServer, uncached: String, names: Vec<String>) -> Result<Self> {
        let pool = pool(&server.url).await?;
        let first = request(&names[0]);
        let answer_bytes = RawClient::connect(&server.address)
            .await?
            .call(GET, first)
            .await?;
        let constant = Constant {
            answer: vec![0; answer_bytes].into(),
            messages: 1,
            every: None,
        };
        let reads = Self {
            names,
            address: server.address.clone(),
            uncached,
            constant: constant.serve().await?,
            pool,
            answer_bytes,
        };
        // Every record into memory.
        let ours = RawClient::connect_all(&reads.address, 1).await?;
        for _ in 0..2 {
            let all = reads.names.iter().map(|name| request(name)).collect();
            call_all(&ours, GET, std::iter::once(all)).await?;
        }
        Ok(reads)
    }

    /// Compares reads from memory with a ready answer, the database's part of them, and reads from the database.
    async fn compare_memory(&self, form: BenchMode, callers: usize) -> Result<()> {
        let ours = RawClient::connect_all(&self.address, callers).await?;
        let uncached = RawClient::connect_all(&self.uncached, callers).await?;
        let limit = RawClient::connect_all(&self.constant, callers).await?;
        let calls = form.pick(100, 2000) * callers.min(8);
        let title = format!(
            "get, {callers} callers, from memory, answers of {} bytes",
            self.answer_bytes
        );
        let sides = [
            "GetRecord from memory",
            "constant answer",
            "SELECT of the version, one each",
            "GetRecord from the database",
        ];
        let comparison = Comparison::new(title, "calls/s", &sides);
        let requests = || self.requests(callers, calls);
        let measure = async |side, _| match side {
            0 => rate(calls, call_all(&ours, GET, requests())).await,
            1 => rate(calls, call_all(&limit, UNARY, requests())).await,
            2 => rate(calls, self.select(callers, calls, false)).await,
            _ => rate(calls, call_all(&uncached, GET, requests())).await,
        };
        measure(0, 0).await?;
        comparison.run(form.pick(3, 9), measure).await
    }

    /// Compares reads from the database with a ready answer and with the same statement.
    async fn compare_database(&self, form: BenchMode, callers: usize) -> Result<()> {
        let ours = RawClient::connect_all(&self.uncached, callers).await?;
        let limit = RawClient::connect_all(&self.constant, callers).await?;
        let calls = form.pick(100, 2000) * callers.min(8);
        let title = format!(
            "get, {callers} callers, from the database, answers of {} bytes",
            self.answer_bytes
        );
        let sides = ["GetRecord", "constant answer", "SELECT"];
        let comparison = Comparison::new(title, "calls/s", &sides).in_turn();
        let requests = || self.requests(callers, calls);
        let measure = async |side, _| match side {
            0 => rate(calls, call_all(&ours, GET, requests())).await,
            1 => rate(calls, call_all(&limit, UNARY, requests())).await,
            _ => rate(calls, self.select(callers, calls, true)).await,
        };
        measure(0, 0).await?;
        comparison.run(form.pick(3, 9), measure).await
    }

    /// The names that each caller requests.
    fn names(&self, callers: usize, calls: usize) -> impl Iterator<Item = Vec<String>> {
        let names = self.names.iter().cycle();
        (0..callers).map(move |caller| {
            let names = names.clone().skip(caller * 7).step_by(13);
            names.take(calls / callers).cloned().collect()
        })
    }

    fn requests(&self, callers: usize, calls: usize) -> impl Iterator<Item = Vec<Bytes>> {
        self.names(callers, calls)
            .map(|names| names.iter().map(|name| request(name)).collect())
    }

    /// Selects each record, or the version as often.
    async fn select(&self, callers: usize, calls: usize, is_record: bool) -> Result<()> {
        let mut tasks = JoinSet::new();
        for names in self.names(callers, calls) {
            let pool = self.pool.clone();
            tasks.spawn(async move {
                for name in names {
                    let query = if is_record {
                        sqlx::query(SELECT).bind(name).bind(false)
                    } else {
                        sqlx::query(VERSION)
                    };
                    pool.fetch_one(query).await?;
                }
                Ok(())
            });
        }
        all(tasks).await
    }
}

fn request(name: &str) -> Bytes {
    let request = GetRecordRequest {
        name: name.to_owned(),
        view: View::Published.into(),
        ..GetRecordRequest::default()
    };
    request.encode_to_vec().into()
}

/// A pool with the settings of the server's readers.
async fn pool(url: &str) -> Result<PgPool> {
    let options: PgConnectOptions = url.parse()?;
    let settings = dateline_store::Settings::default();
    let pool = PgPoolOptions::new()
        .max_connections(settings.read_pool_size)
        .test_before_acquire(false)
        .connect_with(options);
    Ok(pool.await?)
}
