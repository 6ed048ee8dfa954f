//! The nightly export of 1,000,000 records while 16 writers create and publish. Checks that the export is of one
//! sequence and has the feed's digest there; measures the server's memory, the writers' latency, and the age of the
//! oldest transaction. `DATELINE_BENCH_DATA` names a directory whose database is reused, since filling it takes a
//! quarter of an hour.

mod support;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use dateline_client::Client;
use dateline_formats::export::{Destination, Manifest};
use dateline_proto::v1::{CreateRecordRequest, PublishRecordsRequest};
use sqlx::{Connection, PgConnection};
use tokio::task::{JoinHandle, JoinSet};

use support::{
    child::{Child, mib},
    command::{dateline, fill},
    compare::{BenchMode, load},
    latencies::Latencies,
    records::Records,
    server::gold,
    test_support::builders::version,
};

const WRITERS: usize = 16;
/// Pause of a writer between two writes.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);
/// Approximate bytes per written record.
const BYTES: usize = 2000;
/// Interval between two samples of the transactions.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Age of the oldest transaction. Excludes listeners: a backend takes in each notification in a short transaction,
/// whose start Postgres reports as that of its last statement: `LISTEN`, long ago.
const OLDEST: &str = "
    SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8, left(query, 120) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()
        AND xact_start IS NOT NULL AND query NOT LIKE 'LISTEN %'
    ORDER BY xact_start LIMIT 1";

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let scratch = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let data = std::env::var_os("DATELINE_BENCH_DATA").map(PathBuf::from);
    let data = data.unwrap_or_else(|| scratch.path().join("pg"));
    let mut options =
        dateline_embedded_postgres::Options::new(data, env!("CARGO_BIN_EXE_dateline"));
    options.purpose = "cargo bench".to_owned();
    let cluster = dateline_embedded_postgres::Cluster::start(options).await?;
    cluster
        .ensure_database(dateline_embedded_postgres::DATABASE)
        .await?;
    let url = cluster.url(dateline_embedded_postgres::DATABASE);
    ready(&url, form.pick(2_000, wanted()?), scratch.path()).await?;
    // Started just now, so that its memory is due to the export.
    let server = Child::start(&url).await?;
    let first = usize::try_from(published(&url).await?)?;
    let next = Arc::new(AtomicUsize::new(first));
    let seconds = Duration::from_secs(form.pick(3, 60));
    let alone = beside(&server, &url, &next, tokio::time::sleep(seconds)).await?;
    alone.print("writers alone");
    let out = scratch.path().join("out");
    let words = out.to_string_lossy();
    let arguments = ["export", "--format", "protobuf", "--out", &words];
    let arguments = [&arguments[..], &["--server", &server.address]].concat();
    let began = Instant::now();
    let export = async { (dateline(&arguments).await, began.elapsed()) };
    let both = beside(&server, &url, &next, export).await?;
    both.print("writers, and an export");
    let (printed, took) = both.answer;
    check(&printed?, took, &out, &url).await?;
    drop(server);
    cluster.stop().await?;
    Ok(())
}

/// The number of records: `DATELINE_BENCH_RECORDS`, or the default.
fn wanted() -> Result<usize> {
    let said = std::env::var("DATELINE_BENCH_RECORDS");
    Ok(said.map_or(Ok(1_000_000), |said| said.parse())?)
}

/// Fills the database by a server of its own, unless it is full.
async fn ready(url: &str, records: usize, scratch: &Path) -> Result<()> {
    let server = Child::start(url).await?;
    if usize::try_from(published(url).await?)? < records {
        fill(&server.address, records, scratch).await?;
    }
    let gold = scratch.join("gold.json");
    std::fs::write(&gold, include_str!("../seed/gold.json"))?;
    let gold = gold.to_string_lossy();
    let article = scratch.join("article.txt");
    std::fs::write(&article, include_str!("../seed/article.txt"))?;
    let article = article.to_string_lossy();
    let how = ["--publish", "--original", &article];
    let to = ["--server", server.address.as_str()];
    dateline(&[&["import", &gold], &how[..], &to[..]].concat()).await?;
    drop(server);
    let mut connection = PgConnection::connect(url).await?;
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

async fn published(url: &str) -> Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let count = sqlx::query_scalar("SELECT count(*) FROM records WHERE state = 'published'")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(count)
}

/// Measurements taken while some work ran.
struct TimedAnswer<Answer> {
    answer: Answer,
    creations: Latencies,
    publications: Latencies,
    writes: usize,
    seconds: f64,
    /// Memory of the server in bytes: before, maximum, after.
    memory: (u64, u64, u64),
    /// The oldest transaction: its age in seconds, and its statement.
    oldest: (f64, String),
    load: (String, String),
}

impl<Answer> TimedAnswer<Answer> {
    #[expect(
        clippy::print_stdout,
        reason = "a benchmark's result is what it prints"
    )]
    fn print(&self, what: &str) {
        let (before, most, after) = self.memory;
        let pace = self.writes as f64 / self.seconds;
        println!(
            "\n{what}: {:.0} s, load average {} to {}",
            self.seconds, self.load.0, self.load.1
        );
        for (call, times) in [("create", &self.creations), ("publish", &self.publications)] {
            let [p50, p99] = [50, 99].map(|percent| times.percentile(percent));
            println!("  {call}: p50 {p50:.1} ms, p99 {p99:.1} ms");
        }
        println!(
            "  {} records written, {pace:.0}/s, by {WRITERS} writers",
            self.writes
        );
        println!(
            "  resident memory of the server: {:.1} MiB before, {:.1} at most, {:.1} after",
            mib(before),
            mib(most),
            mib(after)
        );
        let (age, query) = &self.oldest;
        println!("  oldest transaction: {:.0} ms, {query}", age * 1000.0);
    }
}

/// Does `work` while writers write, and measures its effect on them.
async fn beside<Work: Future>(
    server: &Child,
    url: &str,
    next: &Arc<AtomicUsize>,
    work: Work,
) -> Result<TimedAnswer<Work::Output>> {
    let before = (server.resident()?, load());
    let (stop, peak) = (Arc::new(AtomicBool::new(false)), server.peak());
    let mut writing = JoinSet::new();
    let records = Arc::new(Records::new(&gold()?, BYTES)?);
    for _ in 0..WRITERS {
        let client = Client::connect(&server.address).await?;
        writing.spawn(write(client, records.clone(), next.clone(), stop.clone()));
    }
    let looking = sample_oldest_transaction(url.to_owned(), stop.clone());
    let began = Instant::now();
    let answer = work.await;
    let seconds = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    while let Some(wrote) = writing.join_next().await {
        times.extend(wrote??);
    }
    Ok(TimedAnswer {
        answer,
        creations: Latencies::from_durations(times.iter().map(|(create, _)| *create)),
        publications: Latencies::from_durations(times.iter().map(|(_, publish)| *publish)),
        writes: times.len(),
        seconds,
        memory: (before.0, peak.stop(), server.resident()?),
        oldest: looking.await??,
        load: (before.1, load()),
    })
}

/// Creates and publishes one record after the other; returns the time that both took for each.
async fn write(
    client: Client,
    records: Arc<Records>,
    next: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<(Duration, Duration)>> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let record = records.nth(next.fetch_add(1, Ordering::Relaxed));
        let began = Instant::now();
        let request = CreateRecordRequest {
            record: Some(record),
            request_id: uuid::Uuid::now_v7().to_string(),
            ..CreateRecordRequest::default()
        };
        let created = client.records.clone().create_record(request).await?;
        let created = created.into_inner().record.context("what was created")?;
        let create = began.elapsed();
        let request = PublishRecordsRequest {
            records: vec![version(&created)],
            omit_content: true,
            ..PublishRecordsRequest::default()
        };
        client.publish(request).await?;
        times.push((create, began.elapsed().saturating_sub(create)));
        tokio::time::sleep(WRITE_INTERVAL).await;
    }
    Ok(times)
}

/// Samples the oldest transaction until `stop` is set.
fn sample_oldest_transaction(
    url: String,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Result<(f64, String)>> {
    tokio::spawn(async move {
        let mut connection = PgConnection::connect(&url).await?;
        let mut oldest = (0.0, String::new());
        while !stop.load(Ordering::Relaxed) {
            let now: Option<(f64, String)> = sqlx::query_as(OLDEST)
                .fetch_optional(&mut connection)
                .await?;
            if let Some(now) = now.filter(|now| now.0 > oldest.0) {
                oldest = now;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        connection.close().await?;
        Ok(oldest)
    })
}

/// Checks that the export is of one sequence among those of the writes, and holds what the feed showed there.
#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
async fn check(printed: &str, took: Duration, out: &Path, url: &str) -> Result<()> {
    let to = Destination::open(&out.to_string_lossy())?;
    let [name] = to.directories().await?.try_into().unwrap_or_default();
    let manifest = Manifest::read(&to.child(&name)).await?;
    let mut connection = PgConnection::connect(url).await?;
    let head: i64 = sqlx::query_scalar("SELECT wire_head FROM feed")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    let behind = head - manifest.subject.sequence;
    ensure!(behind > 0, "nothing was published meanwhile");
    let state = manifest.state.context("what the feed showed")?;
    ensure!(state == manifest.digest, "not what the feed showed");
    let records = manifest.digest.records as f64;
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let seconds = took.as_secs_f64();
    println!(
        "\n{printed}{records} records in {seconds:.0} s: {:.0}/s, {:.1} MB/s; the digest is the feed's at {}, {behind} changes before its head",
        records / seconds,
        bytes as f64 / 1e6 / seconds,
        manifest.subject.sequence
    );
    let began = Instant::now();
    let place = out.join(&name);
    let verified = dateline(&["verify", &place.to_string_lossy()]).await?;
    println!(
        "{verified}verified in {:.0} s",
        began.elapsed().as_secs_f64()
    );
    Ok(())
}
