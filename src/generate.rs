//! `dateline generate`: synthetic records as a file or a stream. They are made on all cores, some at a time, and
//! written in order; what waits to be written is bounded.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use dateline_generate::{DISPATCH, Records};
use indicatif::ProgressBar;
use prost::Message;

use super::{INTERRUPTED, counting, json, signals::Signals};

/// Records that are made in one go.
const CHUNK: usize = 100 * DISPATCH;
/// Chunks of each core that wait to be written.
const WAITING: usize = 2;

/// `dateline generate`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many; the first ones are the same, however many there are
    #[arg(long, value_name = "N")]
    records: usize,
    /// Which ones
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Where to write them; - is stdout
    #[arg(short, long, value_name = "FILE|-", default_value = "-")]
    output: PathBuf,
    /// NDJSON, or `Record` messages with their length before each, as a varint
    #[arg(long, value_enum, default_value = "ndjson", value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Ndjson,
    Protobuf,
}

/// Writes the records; a signal ends it, and leaves what is written.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let bar = progress_bar(args.records as u64);
    let shown = bar.clone();
    let mut signals = Signals::new()?;
    let work = tokio::task::spawn_blocking(move || write_all(&args, &shown));
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
    counting::bar(
        Some(records),
        "{spinner} {human_pos}/{human_len} records {wide_bar} {rate} {eta}",
    )
}

fn write(args: &Args, out: &mut impl Write, bar: &ProgressBar) -> Result<()> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let pieces: Vec<Receiver<Result<Vec<u8>>>> = (0..workers)
            .map(|worker| {
                let (made, pieces) = sync_channel(WAITING);
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

/// Makes every so many-th chunk, until nobody takes them any more.
fn make(args: &Args, worker: usize, workers: usize, made: &SyncSender<Result<Vec<u8>>>) {
    let starts = (0..args.records).step_by(CHUNK);
    for start in starts.skip(worker).step_by(workers) {
        let records = Records::from_dispatch(args.seed, (start / DISPATCH) as u64);
        let records = records.take(CHUNK.min(args.records - start));
        if made.send(encode(records, args.format)).is_err() {
            return;
        }
    }
}

fn encode(
    records: impl Iterator<Item = dateline_proto::v1::Record>,
    format: Format,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for record in records {
        match format {
            Format::Protobuf => record.encode_length_delimited(&mut bytes)?,
            Format::Ndjson => {
                serde_json::to_writer(&mut bytes, &json::document(&record))?;
                bytes.push(b'\n');
            }
        }
    }
    Ok(bytes)
}
