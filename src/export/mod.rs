//! `dateline export`: writes the state of a feed at one sequence as files; the same command resumes an interrupted
//! export. `dateline apply`: applies deltas.

mod apply;
mod plan;
mod retention;
mod run;
mod schedule;
pub(super) mod verify;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use dateline_formats::export::{Compression, Destination, format::Format};
use dateline_proto::v1::View;

pub(super) use self::apply::{Args as ApplyArgs, run as apply};
use super::{Server, filter, misused, output::print_message};

/// Exit code after SIGINT, by the convention of shells.
const INTERRUPTED: u8 = 130;

/// `dateline export`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// Destination: a directory, or the URL of an object store (s3://, gs://, az://, file://) with credentials from the
    /// environment. Each export is a directory below it
    #[arg(long, value_name = "DIR|URL")]
    out: String,
    /// Formats of the files, all written in one pass [default: ndjson]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FORMAT")]
    format: Vec<ExportFormatArg>,
    /// Compress the files; Parquet compresses itself [default: none]
    #[arg(long, value_enum, value_name = "METHOD")]
    compress: Option<CompressionArg>,
    /// View and extent: published or desk; full, or metadata without bodies and quotes, which may be under copyright
    /// [default: published,full]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "VIEW")]
    view: Vec<ViewWord>,
    /// Sequence of the feed to export at [default: the newest]
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "schedule", value_parser = clap::value_parser!(i64).range(0..))]
    sequence: Option<i64>,
    /// Export only the changes since an earlier export: its manifest, its directory, or `latest` for the newest below
    /// --out. Formats, compression, view, filter and other options default to those of that export
    #[arg(long, value_name = "MANIFEST")]
    since: Option<String>,
    /// Include the tombstones of retracted and merged records, which a complete import needs
    #[arg(long)]
    tombstones: bool,
    /// Number of partitions read at once [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    partitions: Option<u16>,
    /// Maximum number of records in a file; an interrupted export resumes after its last complete file [default: 50000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records_per_file: Option<u64>,
    #[arg(
        long,
        value_name = "URI",
        help = "What stands before names in formats that want URIs [default: https://dateline.example/v1/]"
    )]
    base_uri: Option<String>,
    /// Then keep this many full exports and the deltas that build on them, and delete older ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Keep running, and export at these times (cron, five fields, UTC): "0 2 * * *" is every night at two
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    filter: filter::Args,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormatArg {
    Ndjson,
    Protobuf,
    Parquet,
    Ninjs,
    #[value(name = "followthemoney", alias = "ftm")]
    FollowTheMoney,
    #[value(name = "schemaorg")]
    SchemaOrg,
    Csv,
}

impl From<ExportFormatArg> for Format {
    fn from(format: ExportFormatArg) -> Self {
        match format {
            ExportFormatArg::Ndjson => Format::Ndjson,
            ExportFormatArg::Protobuf => Format::Protobuf,
            ExportFormatArg::Parquet => Format::Parquet,
            ExportFormatArg::Ninjs => Format::Ninjs,
            ExportFormatArg::FollowTheMoney => Format::FollowTheMoney,
            ExportFormatArg::SchemaOrg => Format::SchemaOrg,
            ExportFormatArg::Csv => Format::Csv,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CompressionArg {
    None,
    Zstd,
    Gzip,
}

impl From<CompressionArg> for Compression {
    fn from(method: CompressionArg) -> Self {
        match method {
            CompressionArg::None => Compression::None,
            CompressionArg::Zstd => Compression::Zstd,
            CompressionArg::Gzip => Compression::Gzip,
        }
    }
}

impl Args {
    /// The view, as far as it is known: a delta without --view has that of its base, which may be the desk's.
    fn view(&self) -> View {
        let is_open = self.since.is_some() && !self.view.contains(&ViewWord::Published);
        if is_open || self.view.contains(&ViewWord::Desk) {
            View::Desk
        } else {
            View::Published
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ViewWord {
    Published,
    Desk,
    Full,
    Metadata,
}

/// Exports once, or at the times of a schedule.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    if let Some(wrong) = args.filter.misuse(args.view()) {
        return Ok(misused(&wrong));
    }
    let requested = plan::RequestedOptions::new(&args)?;
    let to = Destination::open(&args.out)?;
    match &args.schedule {
        Some(times) => schedule::run(&args, &requested, &to, times).await,
        None => Ok(match once(&args, &requested, &to).await? {
            ExportOutcome::Complete => ExitCode::SUCCESS,
            ExportOutcome::Interrupted => INTERRUPTED.into(),
        }),
    }
}

/// Outcomes of a run without an error.
enum ExportOutcome {
    Complete,
    Interrupted,
}

async fn once(
    args: &Args,
    requested: &plan::RequestedOptions,
    to: &Destination,
) -> Result<ExportOutcome> {
    let server = args.server.connection();
    let exporting = run::run_export(&server, requested, to);
    let exported = tokio::select! {
        biased;
        () = stop_signal() => None,
        exported = exporting => Some(exported.map_err(|error| explain(args, error))?),
    };
    let Some(exported) = exported else {
        print_message("stopped; what is finished is kept, and the same command goes on behind it");
        return Ok(ExportOutcome::Interrupted);
    };
    print_message(exported);
    if let Some(kept) = args.keep {
        retention::delete_old_exports(to, kept).await?;
    }
    Ok(ExportOutcome::Complete)
}

fn explain(args: &Args, error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<dateline_client::Failure>() {
        Ok(failure) => args.filter.explain(failure).into(),
        Err(error) => error,
    }
}

/// Returns on SIGINT or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
