//! `dateline generate`: synthetic records as a file or a stream. They are made on all cores, some at a time, and
//! written in order; what waits to be written is bounded.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use prost::Message;

use super::json;
use crate::generate::{DISPATCH, Records};

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

/// Writes the records.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let context = || format!("cannot write {}", args.output.display());
    let mut out: Box<dyn Write> = if args.output.as_os_str() == "-" {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(File::create(&args.output).with_context(context)?)
    };
    let bar = progress_bar(args.records as u64);
    let written = write(args, &mut BufWriter::new(&mut out), &bar);
    bar.finish_and_clear();
    written.with_context(context)?;
    Ok(ExitCode::SUCCESS)
}

fn progress_bar(records: u64) -> ProgressBar {
    let bar = ProgressBar::new(records);
    let style = "{spinner} {human_pos}/{human_len} records {wide_bar} {per_sec} {eta}";
    // A style that does not parse leaves the default one.
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
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
    records: impl Iterator<Item = crate::proto::v1::Record>,
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
