//! `dateline import`: a file of records becomes drafts, in batches; with `--publish`, published ones. Run
//! twice, it finds what is there already and does the rest.

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

/// Batches that are read ahead of the server.
const READ_AHEAD: usize = 2;

/// What the help of the command says below its options.
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
    /// A file of records, which may be compressed with gzip or zstd; - reads stdin. Or the directory or URL of a full export,
    /// whose records come in as they were: states, revisions, times and all
    #[arg(value_name = "FILE|DIR|URL|-")]
    file: PathBuf,
    /// What is in the file; `auto` looks at its name and at how it begins
    #[arg(long, value_enum, default_value = "auto", value_name = "FORMAT")]
    format: Format,
    /// Publish what is imported, as far as its sender allows: an embargo is kept, what is withheld stays a draft, what is
    /// canceled is retracted
    #[arg(long)]
    publish: bool,
    /// Publish records whatever `meta.state` the file has them in; without it only those that are published there, or
    /// have no state
    #[arg(long, requires = "publish")]
    any_state: bool,
    /// What to do with a newer version of an item that is there already: correct it, with the sender's note for readers;
    /// report it and leave it; or skip it
    #[arg(long, value_enum, default_value = "report", value_name = "WHAT")]
    on_change: OnChange,
    /// Let the server check every record, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// What to do with a record that cannot be read or is refused: stop there, or leave it out; `report`
    /// leaves it out and tells each
    #[arg(long, value_enum, default_value = "stop", value_name = "WHAT")]
    on_error: OnError,
    /// Write what was rejected to this file: a line of JSON per problem, with line, name, field, reason, message
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// The text of an article as received; it goes to the article with its SHA-256, or else to the only
    /// article of a Bundle
    #[arg(long, value_name = "FILE")]
    original: Vec<PathBuf>,
    #[command(flatten)]
    server: Server,
}

// The variants carry no docs of their own: clap would stretch the help to show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Auto,
    /// A `Record` per line
    Ndjson,
    /// `Record` messages, each after its length as a varint
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

/// Sends a file.
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

/// The records that a file holds, or what stands in the place of each.
///
/// # Errors
/// What makes that nothing more can be read.
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
        // Reading may wait for stdin, and is work for another core.
        tokio::task::spawn_blocking(move || batches::read(source, originals, reading, &told));
        while let Some(batch) = batches.recv().await {
            let sent = self.send(batch).await;
            // What was found out is told, whatever became of the rest.
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

    /// What is told of them stands above the bar.
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

    /// What is in although the import failed.
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
