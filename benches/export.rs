//! Exports and imports as commands, `dateline export` and `dateline import`, compared with a binary `COPY` of the same
//! rows out of the same cluster and into it. Server and command are processes of their own; the records come from
//! `dateline generate`.

mod support;

use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use support::{
    child::{Child, mib},
    command::{dateline, fill},
    compare::{BenchMode, Comparison, Spread, is_wanted, rate},
    server::BenchServer,
};

/// The published heads, as an export reads them.
const CONTENT: &str = "COPY (
    SELECT CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END
    FROM records JOIN changes ON changes.desk_sequence = records.desk_sequence
    WHERE records.state = 'published' ORDER BY records.name
) TO STDOUT (FORMAT binary)";
/// The columns that a page of an export is made of.
const PAGE: &str = "COPY (
    SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence, meta,
        CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END
    FROM records JOIN changes ON changes.desk_sequence = records.desk_sequence
    WHERE records.state = 'published' ORDER BY records.name
) TO STDOUT (FORMAT binary)";
/// The rows that the limit copies back in.
const ROWS: &str = "COPY (
    SELECT records.name, CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END
    FROM records JOIN changes ON changes.desk_sequence = records.desk_sequence
    WHERE records.state = 'published' ORDER BY records.name
) TO STDOUT (FORMAT binary)";
const TABLE: &str = "
    DROP TABLE IF EXISTS plain;
    CREATE TABLE plain (name text COLLATE \"C\" NOT NULL, content bytea NOT NULL);
    ALTER TABLE plain ALTER COLUMN content SET STORAGE EXTERNAL";
const COPY_IN: &str = "COPY plain (name, content) FROM STDIN (FORMAT binary)";
/// The formats of our side; the limits follow them.
const FORMATS: [&str; 3] = ["protobuf", "ndjson", "parquet"];

#[tokio::main]
async fn main() -> Result<()> {
    let form = BenchMode::from_args();
    let mut bench_server = BenchServer::start().await?;
    bench_server.stop_server().await?;
    let server = Child::start(&bench_server.url).await?;
    let scratch = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    fill(&server.address, form.pick(2_000, 50_000), scratch.path()).await?;
    let mut connection = PgConnection::connect(&bench_server.url).await?;
    for statement in ["VACUUM ANALYZE", "CHECKPOINT"] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    let (count, bytes): (i64, i64) = sqlx::query_as(
        "SELECT count(*), sum(octet_length(CASE WHEN content_at IS NULL THEN content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END))::bigint
         FROM records JOIN changes ON changes.desk_sequence = records.desk_sequence
         WHERE records.state = 'published'",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    let filled = ExportInput {
        count: usize::try_from(count)?,
        bytes: bytes as f64,
    };
    if is_wanted("out") {
        for format in FORMATS {
            export(&bench_server, &server, format, &filled, scratch.path()).await?;
        }
    }
    if is_wanted("in") {
        import(&bench_server, &server, &filled, scratch.path()).await?;
    }
    drop(server);
    bench_server.stop().await
}

/// The database that is exported.
struct ExportInput {
    count: usize,
    /// Total bytes of content.
    bytes: f64,
}

impl ExportInput {
    fn title(&self, what: &str) -> String {
        let each = self.bytes / self.count as f64;
        let Self { count, bytes } = self;
        let all = bytes / 1e6;
        format!("{what} of {count} records, content of {each:.0} bytes each, {all:.1} MB")
    }
}

async fn export(
    bench_server: &BenchServer,
    server: &Child,
    format: &'static str,
    filled: &ExportInput,
    scratch: &Path,
) -> Result<()> {
    let title = filled.title("export");
    let sides = [format, "COPY of content", "COPY of all columns"];
    let comparison = Comparison::new(title, "records/s", &sides);
    let rates = Mutex::new(vec![Vec::new(); sides.len()]);
    let (before, peak) = (server.resident()?, server.peak());
    let measure = async |side: usize, round| {
        let made = match side {
            0 => {
                let out = scratch.join(format!("{format}-{round}"));
                let taken = rate(filled.count, run_export(&server.address, format, &out)).await;
                std::fs::remove_dir_all(&out)?;
                taken?
            }
            1 => {
                rate(filled.count, async {
                    out(&bench_server.url, CONTENT, drop).await
                })
                .await?
            }
            _ => {
                rate(filled.count, async {
                    out(&bench_server.url, PAGE, drop).await
                })
                .await?
            }
        };
        rates.lock().await[side].push(made * filled.bytes / filled.count as f64 / 1e6);
        Ok(made)
    };
    comparison.run(5, measure).await?;
    print_rates(&sides, rates.into_inner());
    tell_memory(before, peak.stop(), server.resident()?);
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn print_rates(sides: &[&str], rates: Vec<Vec<f64>>) {
    for (side, rates) in sides.iter().zip(rates) {
        let Spread { median, low, high } = Spread::from_values(rates);
        println!("  {side:<40} {median:>11.1} MB/s of content   ({low:.1} to {high:.1})");
    }
}

#[expect(
    clippy::print_stdout,
    reason = "a benchmark's result is what it prints"
)]
fn tell_memory(before: u64, most: u64, after: u64) {
    println!(
        "  resident memory of the server: {:.1} MiB before, {:.1} at most, {:.1} after",
        mib(before),
        mib(most),
        mib(after)
    );
}

async fn run_export(server: &str, format: &str, out: &Path) -> Result<()> {
    let out = out.to_string_lossy();
    let how = ["--out", &out, "--format", format, "--server", server];
    dateline(&[&["export"], &how[..]].concat()).await?;
    Ok(())
}

/// Imports into an empty database.
async fn import(
    bench_server: &BenchServer,
    server: &Child,
    filled: &ExportInput,
    scratch: &Path,
) -> Result<()> {
    let exported = scratch.join("whole");
    run_export(&server.address, "protobuf", &exported).await?;
    let directory = std::fs::read_dir(&exported)?.next();
    let directory = directory.ok_or_else(|| anyhow::anyhow!("an export"))??;
    let directory = directory.path().to_string_lossy().into_owned();
    let mut rows = Vec::new();
    out(&bench_server.url, ROWS, |piece| rows.push(piece)).await?;
    let comparison = Comparison::new(filled.title("import"), "records/s", &["import", "COPY"]);
    let measure = async |side, round| {
        if side > 0 {
            return copy_in(&bench_server.url, &rows, filled.count).await;
        }
        let empty = bench_server.another(&format!("empty{round}")).await?;
        let server = Child::start(&empty).await?;
        let work = async {
            dateline(&["import", &directory, "--server", &server.address]).await?;
            Ok(())
        };
        rate(filled.count, work).await
    };
    comparison.run(3, measure).await
}

async fn copy_in(url: &str, rows: &[Bytes], count: usize) -> Result<f64> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(TABLE).execute(&mut connection).await?;
    let work = async {
        let mut copying = connection.copy_in_raw(COPY_IN).await?;
        for piece in rows {
            copying.send(piece.as_ref()).await?;
        }
        copying.finish().await?;
        Ok(())
    };
    let rate = rate(count, work).await?;
    connection.close().await?;
    Ok(rate)
}

async fn out(url: &str, statement: &str, mut take: impl FnMut(Bytes)) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql("SET jit = off; SET work_mem = '64MB'")
        .execute(&mut connection)
        .await?;
    let mut rows = connection.copy_out_raw(statement).await?;
    while let Some(piece) = rows.try_next().await? {
        take(piece);
    }
    drop(rows);
    connection.close().await?;
    Ok(())
}
