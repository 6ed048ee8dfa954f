//! Catching up: 200,000 changes from the log by one reader and by eight at once, and a snapshot of 1,000,000 records.
//! Each is compared with a binary `COPY` of the same rows out of the same cluster, by as many connections, and the log of
//! one reader also with one that omits the facets, which only filters read. The server is a process of its own and was just started, so its ring holds the newest 2,000 changes at most;
//! its memory is sampled while it sends.

mod support;

use anyhow::{Context, Result, ensure};
use dateline_proto::v1::{Origin, View};
use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection};
use tokio::{sync::Mutex, task::JoinSet};

use support::{
    child::{Child, mib},
    cloned_records::{Filled, fill},
    compare::{BenchMode, Comparison, is_wanted, rate},
    raw_client::{RawClient, all},
    server::BenchServer,
    watchers::{WATCH, from},
};

/// Bytes per record; the change adds to it.
const BYTES: usize = 600;

/// Readers that catch up at once.
const READERS: usize = 8;

/// The columns of the log.
const LOG: &str = "COPY (
    SELECT desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before,
        CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END, meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, accepted_at
    FROM changes WHERE wire_sequence > 0 ORDER BY wire_sequence
) TO STDOUT (FORMAT binary)";
/// The columns that a stream without a filter is made of.
const LOG_WITHOUT_FACETS: &str = "COPY (
    SELECT desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before,
        CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END, meta, days, days_before, changed_fields, note, merged_into, accepted_at
    FROM changes WHERE wire_sequence > 0 ORDER BY wire_sequence
) TO STDOUT (FORMAT binary)";
/// The columns that a page of a snapshot is made of.
const SNAPSHOT: &str = "COPY (
    SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence, meta,
        CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END
    FROM records JOIN changes ON changes.desk_sequence = records.desk_sequence
    WHERE records.state = 'published' ORDER BY records.name
) TO STDOUT (FORMAT binary)";

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    for (part, origin, short, full) in [
        ("log", Origin::Beginning, 10_000, 200_000),
        ("readers", Origin::Beginning, 10_000, 100_000),
        ("snapshot", Origin::Snapshot, 20_000, 1_000_000),
    ] {
        if !is_wanted(part) {
            continue;
        }
        let mut bench_server = BenchServer::start().await?;
        let filled = fill(&mut bench_server, BYTES, form.pick(short, full)).await?;
        if part == "readers" {
            compare_readers(&bench_server, filled.changes).await?;
        } else {
            compare(&bench_server, origin, &filled).await?;
        }
        bench_server.stop().await?;
    }
    Ok(())
}

async fn compare(bench_server: &BenchServer, origin: Origin, filled: &Filled) -> Result<()> {
    let is_snapshot = origin == Origin::Snapshot;
    let (count, what, copied): (_, _, &[&str]) = if is_snapshot {
        (filled.records, "snapshot", &[SNAPSHOT])
    } else {
        (filled.changes, "catch-up", &[LOG, LOG_WITHOUT_FACETS])
    };
    let title = format!("{what} of {count}, each of {} bytes", filled.bytes);
    let sides = &["Watch", "COPY", "COPY without facets"][..=copied.len()];
    let comparison = Comparison::new(title, "per second", sides);
    let memory = Mutex::new(Vec::new());
    let measure = async |side, _| {
        if side > 0 {
            return rate(count, copy(&bench_server.url, copied[side - 1])).await;
        }
        // A fresh server each time, so that everything sent comes from the database.
        let server = Child::start(&bench_server.url).await?;
        let before = server.resident()?;
        let peak = server.peak();
        let rate = rate(count, watch(&server.address, origin, count)).await?;
        memory
            .lock()
            .await
            .push((before, peak.stop(), server.resident()?));
        Ok(rate)
    };
    comparison.run(3, measure).await?;
    print_memory(&memory.into_inner());
    Ok(())
}

/// All readers begin at once and read everything; the rate is that of all together.
async fn compare_readers(bench_server: &BenchServer, count: usize) -> Result<()> {
    let title = format!("catch-up of {count} by {READERS} readers");
    let comparison = Comparison::new(title, "per second", &["Watch", "COPY without facets"]);
    let memory = Mutex::new(Vec::new());
    let measure = async |side, _| {
        let mut readers = JoinSet::new();
        if side > 0 {
            let url = &bench_server.url;
            for url in std::iter::repeat_n(url.clone(), READERS) {
                readers.spawn(async move { copy(&url, LOG_WITHOUT_FACETS).await });
            }
            return rate(count * READERS, all(readers)).await;
        }
        let server = Child::start(&bench_server.url).await?;
        let before = server.resident()?;
        let peak = server.peak();
        for address in std::iter::repeat_n(server.address.clone(), READERS) {
            readers.spawn(async move { watch(&address, Origin::Beginning, count).await });
        }
        let rate = rate(count * READERS, all(readers)).await?;
        memory
            .lock()
            .await
            .push((before, peak.stop(), server.resident()?));
        Ok(rate)
    };
    comparison.run(3, measure).await?;
    print_memory(&memory.into_inner());
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn print_memory(memory: &[(u64, u64, u64)]) {
    for (before, most, after) in memory {
        println!(
            "  resident memory of the server: {:.1} MiB before, {:.1} at most, {:.1} after",
            mib(*before),
            mib(*most),
            mib(*after)
        );
    }
}

/// Reads until `count` changes have arrived, and for a snapshot until it is complete.
async fn watch(address: &str, origin: Origin, count: usize) -> Result<()> {
    let mut client = RawClient::connect(address).await?;
    let mut stream = client.stream(WATCH, from(View::Published, origin)).await?;
    let mut had = 0;
    loop {
        let message = stream.message().await?.context("the stream ended early")?;
        had += message.changes + message.records;
        let is_over = match origin {
            Origin::Snapshot => message.checkpoint,
            _ => had >= count,
        };
        if is_over {
            ensure!(had == count, "{had} came instead of {count}");
            return Ok(());
        }
    }
}

async fn copy(url: &str, statement: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql("SET jit = off; SET work_mem = '64MB'")
        .execute(&mut connection)
        .await?;
    let mut rows = connection.copy_out_raw(statement).await?;
    while rows.try_next().await?.is_some() {}
    drop(rows);
    connection.close().await?;
    Ok(())
}
