//! Idle streams, and streams that are not read. The server is a process of its own, and each part of a comparison gets
//! a fresh one.
//!
//! Idle: memory, CPU and queries of 5,000 streams at the head, compared with as many streams of a server that sends
//! ready bytes as often and does nothing else (the cost of the transport). Slow: one stream that is read at 1 kB/s and
//! 200 that are never read, beside 199 that follow. Measures the memory that the slow ones hold, and the latency of the
//! others, alternating with and without slow ones.

mod support;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use dateline_client::Client;
use dateline_proto::v1::{CreateRecordRequest, Origin, Record, View};
use sqlx::{Connection, PgConnection};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::Streaming;

use support::{
    child::{Child, mib},
    compare::{BenchMode, Spread, is_wanted, load},
    constant::{Constant, STREAM},
    latencies::{Latencies, run_at_rate},
    raw_client::{MessageCounts, RawClient},
    records::Records,
    server::{BenchServer, gold},
    watchers::{WATCH, Watchers, from},
};

/// Streams that only wait.
const IDLE: usize = 5000;
/// Connections of idle streams.
const IDLE_CONNECTIONS: usize = 50;
/// Checkpoint interval of an idle stream, and the size of a checkpoint including its framing.
const CHECKPOINT: Duration = Duration::from_secs(5);
const CHECKPOINT_BYTES: usize = 110;
/// The name of the limit of idle streams.
const READY: &str = "ready bytes";
/// Streams that are never read.
const STALLED: usize = 200;
/// Streams that follow, beside the slow one.
const FOLLOWING: usize = 199;
/// Connections of the following streams, and of the stalled ones.
const CONNECTIONS: usize = 20;
/// Read rate of the slow stream.
const SLOW_BYTES_PER_SECOND: f64 = 1000.0;

/// Rounds of slow streams. A write reaches all streams at about the same time, so the slowest hundredth of the
/// deliveries belongs to a hundredth of the writes, which are few in one round.
const ROUNDS: usize = 7;

/// Bytes per record, writes per second, and seconds.
const LOADS: [(usize, u32, usize); 3] = [(600, 100, 8), (63_500, 20, 15), (1_000_000, 2, 20)];

#[tokio::main]
async fn main() -> Result<()> {
    if let Some((_, address)) = Child::requested_limit() {
        return ready_bytes(&address).await;
    }
    let form = BenchMode::from_args();
    let mut bench_server = BenchServer::start().await?;
    bench_server.stop_server().await?;
    let seconds = form.pick(6, 40);
    if is_wanted("idle") {
        for streams in [1, form.pick(500, IDLE)] {
            let server = Child::start(&bench_server.url).await?;
            idle(&bench_server, "Watch", server, WATCH, streams, seconds).await?;
            let server = Child::start_limit(READY).await?;
            idle(&bench_server, READY, server, STREAM, streams, seconds).await?;
        }
    }
    if is_wanted("slow") {
        slow(&bench_server, form).await?;
    }
    bench_server.stop().await
}

/// Measures slow streams beside streams that are not slow.
async fn slow(bench_server: &BenchServer, form: BenchMode) -> Result<()> {
    let mut written = 0;
    for (bytes, per_second, seconds) in LOADS {
        let records = Records::new(&gold()?, bytes)?;
        let count = usize::try_from(per_second)? * form.pick(3, seconds);
        let mut table = Table::default();
        for round in 0..form.pick(1, ROUNDS) {
            // The order rotates, because the database grows and the machine's speed varies.
            let mut kinds = [
                OtherStreams::None,
                OtherStreams::Slow,
                OtherStreams::Stalled,
            ];
            kinds.rotate_left(round % 3);
            for others in kinds {
                let batch: Vec<_> = (written..written + count)
                    .map(|number| records.nth(number))
                    .collect();
                written += count;
                table.add(
                    others,
                    follow(bench_server, &batch, per_second, others).await?,
                );
            }
        }
        table.print(bytes, count, per_second);
    }
    Ok(())
}

/// Serves streams of ready bytes that do not end.
async fn ready_bytes(address: &str) -> Result<()> {
    let constant = Constant {
        answer: vec![0; CHECKPOINT_BYTES].into(),
        messages: 0,
        every: Some(CHECKPOINT),
    };
    constant.serve_on(TcpListener::bind(address).await?).await
}

/// Opens streams at the head, and measures their cost for a while.
#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
async fn idle(
    bench_server: &BenchServer,
    name: &str,
    server: Child,
    method: &'static str,
    streams: usize,
    seconds: u64,
) -> Result<()> {
    let connections = streams.min(IDLE_CONNECTIONS);
    let clients = RawClient::connect_all(&server.address, connections).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = server.resident()?;
    let mut open = JoinSet::new();
    for mut client in clients.iter().cycle().take(streams).cloned() {
        let request = from(View::Published, Origin::Now);
        let mut stream = client.stream(method, request).await?;
        open.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    }
    // Waits until each has had a checkpoint from the timer.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let (cpu, queries, since) = (
        server.cpu()?,
        transactions(&bench_server.url).await?,
        Instant::now(),
    );
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let elapsed = since.elapsed().as_secs_f64();
    let cpu = (server.cpu()? - cpu) / elapsed * 100.0;
    let queries = (transactions(&bench_server.url).await? - queries) as f64 / elapsed;
    let after = server.resident()?;
    ensure!(open.try_join_next().is_none(), "a stream ended");
    let each = after.saturating_sub(before) as f64 / streams as f64 / 1000.0;
    println!(
        "\n{name}: {streams} idle streams on {connections} connections, for {elapsed:.0} s after the first checkpoints\n  \
         resident memory: {:.1} MiB with the connections alone, {:.1} MiB with the streams; {each:.1} kB a stream\n  \
         CPU: {cpu:.2} % of a core; transactions of the database: {queries:.1}/s; load average {}",
        mib(before),
        mib(after),
        load()
    );
    Ok(())
}

async fn transactions(url: &str) -> Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let count = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(count)
}

/// The other streams of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OtherStreams {
    None,
    /// One stream that is read slowly.
    Slow,
    /// The slow stream, and many that are never read.
    Stalled,
}

/// One part of a round.
struct Part {
    times: Latencies,
    before: u64,
    peak: u64,
    after: u64,
}

async fn follow(
    bench_server: &BenchServer,
    records: &[Record],
    per_second: u32,
    others: OtherStreams,
) -> Result<Part> {
    let server = Child::start(&bench_server.url).await?;
    let clients = RawClient::connect_all(&server.address, CONNECTIONS).await?;
    let mut watchers = Watchers::open(&clients, FOLLOWING).await?;
    let mut slow = JoinSet::new();
    let mut stalled = Vec::new();
    if others != OtherStreams::None {
        let stream = narrow(&server.address, 1).await?.pop();
        slow.spawn(read_slowly(stream.context("a stream")?));
    }
    if others == OtherStreams::Stalled {
        for _ in 0..CONNECTIONS {
            stalled.extend(narrow(&server.address, STALLED / CONNECTIONS).await?);
        }
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = server.resident()?;
    let peak = server.peak();
    let client = Client::connect(&server.address).await?;
    let written = run_at_rate(records.len(), per_second, |number| {
        let mut client = client.records.clone();
        let request = CreateRecordRequest {
            record: Some(records[number].clone()),
            ..CreateRecordRequest::default()
        };
        async move { Ok(client.create_record(request).await?.into_inner().sequence) }
    });
    let written = written.await?;
    watchers.wait(records.len()).await?;
    let after = server.resident()?;
    let peak = peak.stop();
    let came = watchers.finish().await?;
    drop(stalled);
    let first = written.iter().map(|(_, sequence)| *sequence).min();
    let first = first.context("writes")?;
    let mut delays = Vec::with_capacity(records.len() * FOLLOWING);
    for (due, sequence) in &written {
        let place = usize::try_from(sequence - first)?;
        delays.extend(came.iter().map(|came| came[place] - *due));
    }
    Ok(Part {
        times: Latencies::from_durations(delays),
        before,
        peak,
        after,
    })
}

/// Opens streams on one connection, and reads nothing of them yet.
async fn narrow(address: &str, count: usize) -> Result<Vec<Streaming<MessageCounts>>> {
    let mut client = RawClient::connect_narrow(address).await?;
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        streams.push(client.stream(WATCH, from(View::Desk, Origin::Now)).await?);
    }
    Ok(streams)
}

async fn read_slowly(mut stream: Streaming<MessageCounts>) {
    while let Ok(Some(message)) = stream.message().await {
        let pause = message.bytes as f64 / SLOW_BYTES_PER_SECOND;
        tokio::time::sleep(Duration::from_secs_f64(pause)).await;
    }
}

/// The parts of all rounds, by others.
#[derive(Default)]
struct Table {
    alone: Vec<Part>,
    slow: Vec<Part>,
    stalled: Vec<Part>,
}

impl Table {
    fn add(&mut self, others: OtherStreams, part: Part) {
        match others {
            OtherStreams::None => self.alone.push(part),
            OtherStreams::Slow => self.slow.push(part),
            OtherStreams::Stalled => self.stalled.push(part),
        }
    }

    #[expect(
        clippy::print_stdout,
        reason = "a benchmark's result is what it prints"
    )]
    fn print(&self, bytes: usize, count: usize, per_second: u32) {
        println!(
            "\n{FOLLOWING} streams that follow {count} writes of {bytes} bytes, {per_second}/s ({} rounds)",
            self.alone.len()
        );
        for (name, parts) in [
            ("alone", &self.alone),
            ("with one read at 1 kB/s", &self.slow),
            ("with that and 200 never read", &self.stalled),
        ] {
            let of =
                |number: fn(&Part) -> f64| Spread::from_values(parts.iter().map(number).collect());
            let ratios = |number: fn(&Part) -> f64| {
                let pairs = parts.iter().zip(&self.alone);
                Spread::from_values(
                    pairs
                        .map(|(part, alone)| number(part) / number(alone))
                        .collect(),
                )
            };
            let all = |parts: &[Part]| Latencies::merged(parts.iter().map(|part| &part.times));
            let (these, alone) = (all(parts), all(&self.alone));
            let most = |times: &Latencies| times.percentile(99);
            let rounds = of(|part| part.times.percentile(99));
            let moved = ratios(|part| part.times.percentile(99));
            println!(
                "  {name:<29} of all rounds p50 {:.2} ms, p99 {:.2} ms, / alone {:.2} and {:.2}\n  \
                 {:<29} of each p99 {:.2} ms ({:.2} to {:.2}), / alone {:.2} ({:.2} to {:.2})",
                these.percentile(50),
                most(&these),
                these.percentile(50) / alone.percentile(50),
                most(&these) / most(&alone),
                "",
                rounds.median,
                rounds.low,
                rounds.high,
                moved.median,
                moved.low,
                moved.high,
            );
            println!(
                "  {:<29} resident {:.1} MiB before, {:.1} at most, {:.1} after",
                "",
                of(|part| mib(part.before)).median,
                of(|part| mib(part.peak)).median,
                of(|part| mib(part.after)).median,
            );
        }
        let pairs = || self.stalled.iter().zip(&self.slow);
        let each = |number: fn(&Part) -> u64| {
            let more = pairs().map(|(stalled, slow)| {
                (number(stalled) as f64 - number(slow) as f64) / STALLED as f64 / 1000.0
            });
            Spread::from_values(more.collect())
        };
        let (open, after) = (each(|part| part.before), each(|part| part.after));
        println!(
            "  a stream that is never read: {:.1} kB when it is opened, {:.1} kB ({:.1} to {:.1}) after the writes; \
             load average {}",
            open.median,
            after.median,
            after.low,
            after.high,
            load()
        );
    }
}
