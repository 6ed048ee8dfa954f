//! `dateline import`: creates drafts from a file of records, in batches; with `--publish`, publishes them. A second run
//! skips existing records and does the rest.

mod batches;
mod load_export;
mod originals;
mod progress;
mod rejects;
mod release;

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::ValueEnum;
use dateline_client::bulk::{BulkWriter, Conflict, OnChange, Rejection, WriteOptions};
use dateline_formats::import::{InputFormat, Source};
use tokio::sync::mpsc;

use self::{
    batches::{ImportBatch, ReadOptions},
    originals::Originals,
    progress::ImportProgress,
    rejects::Rejects,
};
use super::{FAILED, Server, export::verify::is_export, output::print_message};

/// Batches read ahead of the server.
const READ_AHEAD: usize = 2;

/// Text below the options in the command's help.
pub(super) const HELP: &str = "A run that was cut off is completed by the same command: what is there already and the same is left as it is.

Exit codes:
  0  all records are in, or were there already
  1  some were rejected, held back or left as they are, or the import failed; stderr says which, and why
  2  wrong usage
  4  no server answers, or its database is away

Examples:
  dateline import seed/gold.json --publish
  dateline import records.ndjson.zst --on-error skip --rejects rejects.ndjson
  dateline import wire.json --format ninjs --dry-run
  dateline import exports/desk-1a2b3c4d-000000000094";

/// `dateline import`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A file of records, possibly compressed with gzip or zstd; - reads stdin. Or the directory or URL of a full
    /// export, whose records keep their states, revisions and times
    #[arg(value_name = "FILE|DIR|URL|-")]
    file: PathBuf,
    /// Format of the file; `auto` detects it from the name and the first bytes
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    format: ImportFormatArg,
    /// Publish the records as far as their senders allow: an embargo is kept, a withheld item stays a draft, a canceled
    /// one is retracted
    #[arg(long)]
    publish: bool,
    /// Publish records of any `meta.state` in the file; without it, only published ones and those without a state
    #[arg(long, requires = "publish")]
    any_state: bool,
    /// Action on a newer version of an existing item: correct it, with the sender's note for readers; report it and
    /// leave it; or skip it
    #[arg(long, value_enum, default_value = "report", value_name = "WHAT")]
    on_change: OnChangeArg,
    /// Validate every record on the server, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Action on a record that cannot be read or is refused: stop, leave it out (skip), or leave it out and print it
    /// (report)
    #[arg(long, value_enum, default_value = "stop", value_name = "WHAT")]
    on_error: OnError,
    /// File for rejected records: a line of JSON per problem, with line, name, field, reason, message
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Text of an article as received; belongs to the article with its SHA-256, otherwise to the only article of a
    /// Bundle
    #[arg(long, value_name = "FILE")]
    original: Vec<PathBuf>,
    #[command(flatten)]
    server: Server,
}

// The variants have no doc comments: clap would lengthen the help with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImportFormatArg {
    Auto,
    /// A `Record` per line
    Ndjson,
    /// `Record` messages, each preceded by its length as a varint
    Protobuf,
    /// One `Bundle`, as JSON
    Bundle,
    /// ninjs 3 items of articles: one, a list, or one per line
    Ninjs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnChangeArg {
    Correct,
    Report,
    Skip,
}

impl From<OnChangeArg> for OnChange {
    fn from(on_change: OnChangeArg) -> Self {
        match on_change {
            OnChangeArg::Correct => Self::Correct,
            OnChangeArg::Report => Self::Report,
            OnChangeArg::Skip => Self::Skip,
        }
    }
}

impl From<ImportFormatArg> for InputFormat {
    fn from(format: ImportFormatArg) -> Self {
        match format {
            ImportFormatArg::Auto => Self::Auto,
            ImportFormatArg::Ndjson => Self::Ndjson,
            ImportFormatArg::Protobuf => Self::Protobuf,
            ImportFormatArg::Bundle => Self::Bundle,
            ImportFormatArg::Ninjs => Self::Ninjs,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnError {
    Stop,
    Skip,
    Report,
}

/// Imports a file.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    if is_export(&args.file) {
        return load_export::run(&args).await;
    }
    let originals = Originals::read(&args.original)?;
    let source = open(&args.file, args.format.into())?;
    let progress = ImportProgress::new(&source);
    let rejects = Rejects::create(args.rejects.as_deref(), args.on_error == OnError::Report)?;
    let client = args.server.connect().await?;
    let options = WriteOptions {
        dry_run: args.dry_run,
        leaves_out: args.on_error != OnError::Stop,
        publishes: args.publish,
        on_change: args.on_change.into(),
        advice: Some(advice),
    };
    let read_options = ReadOptions {
        leaves_out: options.leaves_out,
        any_state: args.any_state,
    };
    let mut import = Import {
        writer: BulkWriter::new(client, options),
        options,
        progress,
        rejects,
    };
    let answer = tokio::select! {
        answer = import.all(source, originals, read_options) => Some(answer),
        _ = tokio::signal::ctrl_c() => None,
    };
    import.progress.finish();
    let Some(answer) = answer else {
        let report = &import.writer.report;
        print_message(format_args!(
            "stopped: {report}; the same command goes on from here"
        ));
        return Ok(FAILED.into());
    };
    if let Err(error) = answer {
        import.print_partial_summary();
        return Err(error);
    }
    import.print_summary();
    Ok(
        if import.rejects.count() + import.rejects.open_count() == 0 {
            ExitCode::SUCCESS
        } else {
            FAILED.into()
        },
    )
}

/// The flag or command that resolves a conflict, as the end of a sentence.
fn advice(conflict: Conflict) -> &'static str {
    match conflict {
        Conflict::Canceled => ": --publish retracts it",
        Conflict::Withheld => ": `dateline retract` or --on-change correct withdraws it, for good",
        Conflict::Newer => "; --on-change correct takes it over, skip leaves it out",
        Conflict::UnderEmbargo => "; --publish takes its newer version over",
        Conflict::Withdrawn => ": `dateline retract` withdraws it",
    }
}

/// Opens a file, or stdin.
fn open(path: &Path, format: InputFormat) -> Result<Source> {
    let (reader, bytes): (Box<dyn Read + Send>, _) = if path.as_os_str() == "-" {
        (Box::new(std::io::stdin()), None)
    } else {
        let opened = dateline_files::open(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let length = opened.length;
        (Box::new(opened), length)
    };
    let mut source = Source::from_reader(reader, path, format)?;
    source.bytes = bytes;
    Ok(source)
}

struct Import {
    writer: BulkWriter,
    options: WriteOptions,
    progress: ImportProgress,
    rejects: Rejects,
}

impl Import {
    async fn all(
        &mut self,
        source: Source,
        originals: Originals,
        read_options: ReadOptions,
    ) -> Result<()> {
        let (batch_sender, mut batches) = mpsc::channel(READ_AHEAD);
        // A read of stdin may block, and decoding runs on another core.
        tokio::task::spawn_blocking(move || {
            batches::read(source, originals, read_options, &batch_sender);
        });
        while let Some(batch) = batches.recv().await {
            let sent = self.send(batch).await;
            // Refusals are reported even if the rest failed.
            self.reject_refused()?;
            sent?;
            self.progress
                .update(&self.writer.report, self.rejects.count());
        }
        if self.options.publishes && !self.options.dry_run {
            self.progress.set_phase("publishing");
            let published = self.writer.publish().await;
            self.reject_refused()?;
            published?;
        }
        Ok(())
    }

    fn reject_refused(&mut self) -> Result<()> {
        let notices = std::mem::take(&mut self.writer.notices);
        let rejects = &mut self.rejects;
        if !notices.is_empty() {
            self.progress.suspend(|| rejects.add_notices(&notices))?;
        }
        let refused = std::mem::take(&mut self.writer.refused);
        self.reject(&refused)
    }

    /// Reports refusals above the bar.
    fn reject(&mut self, refused: &[Rejection]) -> Result<()> {
        let rejects = &mut self.rejects;
        self.progress.suspend(|| rejects.add(refused))
    }

    async fn send(&mut self, batch: ImportBatch) -> Result<()> {
        match batch {
            ImportBatch::Records {
                outgoing,
                unreadable,
            } => {
                self.reject(&unreadable)?;
                self.writer.create(outgoing).await?;
                if self.options.publishes && !self.options.dry_run {
                    self.writer.publish_ready().await?;
                }
                Ok(())
            }
            ImportBatch::Failed {
                error,
                unreadable,
                forbidden,
            } => {
                self.reject(&unreadable)?;
                self.writer.withdraw(forbidden).await?;
                Err(error)
            }
            ImportBatch::Noted(notes) => {
                self.progress.add_notes(notes);
                Ok(())
            }
        }
    }

    /// Reports the records that were sent before the import failed.
    fn print_partial_summary(&self) {
        let report = &self.writer.report;
        if report.sent() > 0 && !self.options.dry_run {
            print_message(format_args!(
                "before it failed: {report}; the same command goes on from here"
            ));
        }
    }

    fn print_summary(&self) {
        let report = &self.writer.report;
        let mut summary = if self.options.dry_run {
            format!(
                "dry run, nothing is written: {} would be created, {} already there{}",
                report.created,
                report.unchanged,
                report.others()
            )
        } else {
            report.to_string()
        };
        if self.rejects.count() > 0 {
            summary = format!("{summary}, {} rejected", self.rejects.count());
        }
        if self.rejects.open_count() > 0 {
            summary = format!("{summary}, {} left to do", self.rejects.open_count());
        }
        self.rejects.print_omitted();
        print_message(summary);
        self.progress.print_notes();
    }
}
