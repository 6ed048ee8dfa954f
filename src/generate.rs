//! `dateline generate`: writes synthetic records to a file or stdout. Chunks are made in parallel on all cores and
//! written in order; the number of chunks in memory is bounded.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use dateline_generate::{RecordGenerator, STORY_RECORDS};
use indicatif::ProgressBar;
use prost::Message;

use super::{INTERRUPTED, json, progress, signals::Signals};

/// Records per chunk.
const CHUNK: usize = 100 * STORY_RECORDS;
/// Finished chunks per core that may wait to be written.
const QUEUED_CHUNKS: usize = 2;

/// `dateline generate`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Number of records; a larger number keeps the first ones the same
    #[arg(long, value_name = "N")]
    records: usize,
    /// Seed of the records
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Output file; - is stdout
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    /// NDJSON, or `Record` messages, each preceded by its length as a varint
    #[arg(long, value_enum, default_value = "ndjson", value_name = "FORMAT")]
    format: GeneratedFormat,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GeneratedFormat {
    Ndjson,
    Protobuf,
}

/// Writes the records; a signal ends it, and what was written remains.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let bar = progress_bar(args.records as u64);
    let work_bar = bar.clone();
    let mut signals = Signals::new()?;
    let work = tokio::task::spawn_blocking(move || write_all(&args, &work_bar));
    let done = tokio::select! {
        done = work => Some(done?),
        () = signals.next() => None,
    };
    bar.finish_and_clear();
    done.unwrap_or(Ok(INTERRUPTED.into()))
}

fn write_all(args: &Args, bar: &ProgressBar) -> Result<ExitCode> {
    let context = || format!("cannot write {}", args.output.display());
    let mut out: Box<dyn Write> = if args.output.as_os_str() == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(dateline_files::create(&args.output).with_context(context)?)
    };
    let written = write(args, &mut BufWriter::new(&mut out), bar);
    written.with_context(context)?;
    Ok(ExitCode::SUCCESS)
}

fn progress_bar(records: u64) -> ProgressBar {
    progress::bar(
        Some(records),
        "{spinner} {human_pos}/{human_len} records {wide_bar} {rate} {eta}",
    )
}

fn write(args: &Args, out: &mut impl Write, bar: &ProgressBar) -> Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let pieces: Vec<Receiver<Result<Vec<u8>>>> = (0..workers)
            .map(|worker| {
                let (made, pieces) = sync_channel(QUEUED_CHUNKS);
                scope.spawn(move || make(args, worker, workers, &made));
                pieces
            })
            .collect();
        for chunk in 0..args.records.div_ceil(CHUNK) {
            let made = pieces[chunk % workers].recv();
            let made = made.map_err(|_| anyhow!("the records could not be made"))??;
            out.write_all(&made)?;
            bar.inc(CHUNK.min(args.records - chunk * CHUNK) as u64);
        }
        Ok(out.flush()?)
    })
}

/// Makes every `workers`-th chunk until the receiver is dropped.
fn make(args: &Args, worker: usize, workers: usize, made: &SyncSender<Result<Vec<u8>>>) {
    let starts = (0..args.records).step_by(CHUNK);
    for start in starts.skip(worker).step_by(workers) {
        let records = RecordGenerator::from_story(args.seed, (start / STORY_RECORDS) as u64);
        let records = records.take(CHUNK.min(args.records - start));
        if made.send(encode(records, args.format)).is_err() {
            return;
        }
    }
}

fn encode(
    records: impl Iterator<Item = dateline_proto::v1::Record>,
    format: GeneratedFormat,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for record in records {
        match format {
            GeneratedFormat::Protobuf => record.encode_length_delimited(&mut bytes)?,
            GeneratedFormat::Ndjson => {
                serde_json::to_writer(&mut bytes, &json::document(&record))?;
                bytes.push(b'\n');
            }
        }
    }
    Ok(bytes)
}
