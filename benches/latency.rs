//! From a write to its delivery: 200 writes a second at an even pace, independent of unfinished ones, with 100 streams
//! that watch the desk feed. Alternates with an autocommitted `INSERT` of the same bytes at the same pace on the same
//! cluster. Latencies count from when a write was due.

mod support;

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result, ensure};
use dateline_proto::v1::{CreateRecordRequest, Record};
use dateline_record::record::record_name;
use prost::Message;
use sqlx::{PgPool, postgres::PgPoolOptions};

use support::{
    child::Child,
    compare::{BenchMode, Spread, load},
    latencies::{Latencies, run_at_rate},
    raw_client::RawClient,
    records::Records,
    server::{BenchServer, gold},
    watchers::Watchers,
};

const PER_SECOND: u32 = 200;
const WATCHERS: usize = 100;
/// Connections of the watchers, and database connections for `INSERT`.
const CONNECTIONS: usize = 20;
/// Approximate bytes per record.
const BYTES: usize = 800;

const TABLE: &str = "
    CREATE TABLE plain (name text COLLATE \"C\" PRIMARY KEY, content bytea NOT NULL);
    ALTER TABLE plain ALTER COLUMN content SET STORAGE EXTERNAL";
const INSERT: &str = "INSERT INTO plain VALUES ($1, $2)";

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let mut bench_server = BenchServer::start().await?;
    bench_server.stop_server().await?;
    let pool = PgPoolOptions::new()
        .min_connections(u32::try_from(CONNECTIONS)?)
        .max_connections(u32::try_from(CONNECTIONS)?)
        .test_before_acquire(false)
        .connect(&bench_server.url)
        .await?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let server = Child::start(&bench_server.url).await?;
    let records = Records::new(&gold()?, BYTES)?;
    let count = form.pick(400, 3000);
    let rounds = form.pick(2, 6);
    let before = load();
    let mut table = Table::default();
    for round in 0..=rounds {
        let first = round * count;
        let records: Vec<_> = (first..first + count).map(|n| records.nth(n)).collect();
        let ours = deliver(&server, &records).await?;
        let limit = insert(&pool, &records).await?;
        // The first round only warms up both sides.
        if round > 0 {
            table.add(&ours, &limit);
        }
    }
    table.print(count, rounds, &before);
    pool.close().await;
    drop(server);
    bench_server.stop().await
}

/// Latencies of one round of our side.
struct Delivery {
    /// Until the call returned.
    commit: Latencies,
    /// Until each watcher received the change.
    each: Latencies,
    /// Until the last watcher received the change.
    last: Latencies,
}

async fn deliver(server: &Child, records: &[Record]) -> Result<Delivery> {
    let connections = RawClient::connect_all(&server.address, CONNECTIONS).await?;
    let mut watchers = Watchers::open(&connections, WATCHERS).await?;
    let client = dateline_client::Client::connect(&server.address).await?;
    let written = run_at_rate(records.len(), PER_SECOND, |number| {
        let mut client = client.records.clone();
        let request = CreateRecordRequest {
            record: Some(records[number].clone()),
            request_id: uuid::Uuid::now_v7().to_string(),
            ..CreateRecordRequest::default()
        };
        async move {
            let answer = client.create_record(request).await?.into_inner();
            Ok((answer.sequence, Instant::now()))
        }
    })
    .await?;
    watchers.wait(records.len()).await?;
    let came = watchers.finish().await?;
    let first = written.iter().map(|(_, (sequence, _))| *sequence).min();
    let first = first.context("writes")?;
    let mut each = Vec::with_capacity(records.len() * WATCHERS);
    let mut last = Vec::with_capacity(records.len());
    for (due, (sequence, _)) in &written {
        let place = usize::try_from(sequence - first)?;
        let mut latest = *due;
        for came in &came {
            ensure!(came.len() == records.len(), "as many changes as writes");
            each.push(came[place] - *due);
            latest = latest.max(came[place]);
        }
        last.push(latest - *due);
    }
    let commit = written.iter().map(|(due, (_, answered))| *answered - *due);
    Ok(Delivery {
        commit: Latencies::from_durations(commit),
        each: Latencies::from_durations(each),
        last: Latencies::from_durations(last),
    })
}

async fn insert(pool: &PgPool, records: &[Record]) -> Result<Latencies> {
    let written = run_at_rate(records.len(), PER_SECOND, |number| {
        let name = record_name(&records[number]).map(|name| name.to_string());
        let content = records[number].encode_to_vec();
        let pool = pool.clone();
        async move {
            let query = sqlx::query(INSERT).bind(name.unwrap_or_default());
            query.bind(content).execute(&pool).await?;
            Ok(Instant::now())
        }
    });
    let written = written.await?;
    Ok(Latencies::from_durations(
        written.iter().map(|(due, done)| *done - *due),
    ))
}

/// Milliseconds by name of the measurement, round by round.
#[derive(Default)]
struct Table(BTreeMap<&'static str, Vec<f64>>);

impl Table {
    fn add(&mut self, ours: &Delivery, limit: &Latencies) {
        let (half, most) = (limit.percentile(50), limit.percentile(99));
        let mut add = |name, value| self.0.entry(name).or_default().push(value);
        add("1 INSERT, p50", half);
        add("1 INSERT, p99", most);
        add("2 commit call, p50", ours.commit.percentile(50));
        add("2 commit call, p99", ours.commit.percentile(99));
        add("3 delivery to each, p50", ours.each.percentile(50));
        add("3 delivery to each, p99", ours.each.percentile(99));
        add("4 delivery to the last, p50", ours.last.percentile(50));
        add("4 delivery to the last, p99", ours.last.percentile(99));
        let above = ours.each.percentile(50) - half;
        add("5 delivery to each above INSERT, p50", above);
        let above = ours.last.percentile(50) - half;
        add("6 delivery to the last above INSERT, p50", above);
        let ratio = ours.each.percentile(99) / most;
        add("7 delivery to each / INSERT, p99, a ratio", ratio);
    }

    #[expect(
        clippy::print_stdout,
        reason = "a benchmark's result is what it prints"
    )]
    fn print(self, count: usize, rounds: usize, before: &str) {
        println!(
            "\ndelivery of {PER_SECOND} writes/s of {BYTES} bytes to {WATCHERS} watchers on {CONNECTIONS} connections, \
             {count} writes a round ({rounds} rounds); milliseconds from when each was due"
        );
        for (name, values) in self.0 {
            let Spread { median, low, high } = Spread::from_values(values);
            println!(
                "  {:<45} {median:>8.2}   ({low:.2} to {high:.2})",
                &name[2..]
            );
        }
        println!("  load average before {before}, after {}", load());
    }
}
