//! `dateline import`: creates drafts from a file of records, in batches; with `--publish`, publishes them. A second run
//! skips existing records and does the rest.

mod batches;
mod bundle;
mod document;
mod home;
mod lines;
mod messages;
mod ninjs;
mod originals;
mod progress;
mod rejects;
mod source;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::ValueEnum;
use dateline_proto::v1::Record;
use tokio::sync::mpsc;

use self::{
    batches::{Batch, Reading},
    originals::Originals,
    progress::Progress,
    rejects::Rejects,
    source::Source,
};
use super::{
    FAILED, Server,
    export::verify::is_export,
    outgoing::{Manner, OnChange},
    output::say,
    refusal::Refusal,
    send::Sender,
};

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
    format: Format,
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
    on_change: OnChange,
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
enum Format {
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
enum OnError {
    Stop,
    Skip,
    Report,
}

/// Imports a file.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    if is_export(&args.file) {
        return home::run(&args).await;
    }
    let originals = Originals::read(&args.original)?;
    let source = Source::open(&args.file, args.format)?;
    let progress = Progress::new(&source);
    let rejects = Rejects::create(args.rejects.as_deref(), args.on_error == OnError::Report)?;
    let client = args.server.connect().await?;
    let manner = Manner {
        dry_run: args.dry_run,
        leaves_out: args.on_error != OnError::Stop,
        publishes: args.publish,
        on_change: args.on_change,
    };
    let reading = Reading {
        leaves_out: manner.leaves_out,
        any_state: args.any_state,
    };
    let mut import = Import {
        sender: Sender::new(client, manner),
        manner,
        progress,
        rejects,
    };
    let answer = tokio::select! {
        answer = import.all(source, originals, reading) => Some(answer),
        _ = tokio::signal::ctrl_c() => None,
    };
    import.progress.finish();
    let Some(answer) = answer else {
        let report = &import.sender.report;
        say(format_args!(
            "stopped: {report}; the same command goes on from here"
        ));
        return Ok(FAILED.into());
    };
    if let Err(error) = answer {
        import.tell_before();
        return Err(error);
    }
    import.tell();
    Ok(
        if import.rejects.count() + import.rejects.open_count() == 0 {
            ExitCode::SUCCESS
        } else {
            FAILED.into()
        },
    )
}

/// The records of a file, each as a record or as its error.
///
/// # Errors
/// An error after which nothing more can be read.
pub(super) fn records(name: &Path, bytes: Vec<u8>) -> Result<Vec<Result<Record, String>>> {
    let bytes = Box::new(std::io::Cursor::new(bytes));
    let mut source = Source::of(bytes, name, Format::Auto)?;
    let mut records = Vec::new();
    while let Some(found) = source.next()? {
        records.push(found.content.map(|content| content.record));
    }
    Ok(records)
}

struct Import {
    sender: Sender,
    manner: Manner,
    progress: Progress,
    rejects: Rejects,
}

impl Import {
    async fn all(&mut self, source: Source, originals: Originals, reading: Reading) -> Result<()> {
        let (told, mut batches) = mpsc::channel(READ_AHEAD);
        // A read of stdin may block, and decoding runs on another core.
        tokio::task::spawn_blocking(move || batches::read(source, originals, reading, &told));
        while let Some(batch) = batches.recv().await {
            let sent = self.send(batch).await;
            // Refusals are reported even if the rest failed.
            self.reject_refused()?;
            sent?;
            self.progress
                .told(&self.sender.report, self.rejects.count());
        }
        if self.manner.publishes && !self.manner.dry_run {
            self.progress.doing("publishing");
            let published = self.sender.publish().await;
            self.reject_refused()?;
            published?;
        }
        Ok(())
    }

    fn reject_refused(&mut self) -> Result<()> {
        let notices = std::mem::take(&mut self.sender.notices);
        let rejects = &mut self.rejects;
        if !notices.is_empty() {
            self.progress.aside(|| rejects.add_notices(&notices))?;
        }
        let refused = std::mem::take(&mut self.sender.refused);
        self.reject(&refused)
    }

    /// Reports refusals above the bar.
    fn reject(&mut self, refused: &[Refusal]) -> Result<()> {
        let rejects = &mut self.rejects;
        self.progress.aside(|| rejects.add(refused))
    }

    async fn send(&mut self, batch: Batch) -> Result<()> {
        match batch {
            Batch::Records {
                outgoing,
                unreadable,
            } => {
                self.reject(&unreadable)?;
                self.sender.create(outgoing).await?;
                if self.manner.publishes && !self.manner.dry_run {
                    self.sender.publish_ready().await?;
                }
                Ok(())
            }
            Batch::Failed {
                error,
                unreadable,
                forbidden,
            } => {
                self.reject(&unreadable)?;
                self.sender.withdraw(forbidden).await?;
                Err(error)
            }
            Batch::Noted(notes) => {
                self.progress.note(notes);
                Ok(())
            }
        }
    }

    /// Reports the records that were sent before the import failed.
    fn tell_before(&self) {
        let report = &self.sender.report;
        if report.sent() > 0 && !self.manner.dry_run {
            say(format_args!(
                "before it failed: {report}; the same command goes on from here"
            ));
        }
    }

    fn tell(&self) {
        let report = &self.sender.report;
        let mut told = if self.manner.dry_run {
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
            told = format!("{told}, {} rejected", self.rejects.count());
        }
        if self.rejects.open_count() > 0 {
            told = format!("{told}, {} left to do", self.rejects.open_count());
        }
        self.rejects.tell_rest();
        say(told);
        self.progress.tell_notes();
    }
}
