//! `dateline watch`: the feed as lines. It goes on from its last cursor when the server comes back, and with a state file
//! where it stopped.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::ValueEnum;
use prost_reflect::DynamicMessage;
use serde::Serialize;

use super::{
    Server, USAGE,
    cloudevents::{Output, Printer},
    filter::{self, ViewArg},
    json,
    output::{Format, printable, say, title, type_word, waits},
    state_file::StateFile,
    when,
};
use crate::{
    client::{Event, Failure, Position, Subscriber},
    proto::v1::{
        Change, Checkpoint, Consumer, Origin, Record, View, WatchRequest, change::Type,
        record::Kind as Body, watch_request::Start,
    },
};

/// `dateline watch`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to begin: a cursor, a time such as 2026-08-01T06:00:00Z or, so long ago, -2h, `beginning`, or `now`
    #[arg(long, conflicts_with_all = ["from_beginning", "snapshot"], value_name = "START", allow_hyphen_values = true)]
    since: Option<String>,
    /// Begin with the first change: the same as `--since beginning`
    #[arg(long, conflicts_with = "snapshot")]
    from_beginning: bool,
    /// Begin with the records that there are, then follow what changes
    #[arg(long)]
    snapshot: bool,
    /// The feed of what readers see, or the desk's, of every change
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    /// What it is for: a replica needs everything, and begins with a snapshot; a notifier is spared old news after a pause
    #[arg(long, value_enum, value_name = "CONSUMER")]
    consumer: Option<ConsumerArg>,
    /// How old news may be for a notifier, such as 10m; 5 minutes if it is not said
    #[arg(long, value_name = "AGE", value_parser = age)]
    max_age: Option<prost_types::Duration>,
    /// Prove what came by the digests of the server; needs the whole feed, or kinds, from the beginning or a snapshot
    #[arg(long, conflicts_with = "state_file")]
    verify: bool,
    /// Remember in this file how far it came, and go on from there the next time
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// Stop after this many records and changes
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Tell of checkpoints on stderr
    #[arg(long)]
    checkpoints: bool,
    /// How to print; a table here is a line per change
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: Output,
    /// With `--output cloudevents`: a list of events per response of the server, instead of one event per line
    #[arg(long)]
    batch: bool,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    filter: filter::Args,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ConsumerArg {
    Replica,
    Notifier,
}

/// A time span with a unit: 90s, 10m, 2h, 7d.
fn age(text: &str) -> Result<prost_types::Duration, String> {
    let span: Result<humantime::Duration, _> = text.parse();
    let span = span.map_err(|error| format!("{error}; write a number with a unit, such as 10m"))?;
    prost_types::Duration::try_from(*span).map_err(|error| error.to_string())
}

impl Args {
    fn start(&self) -> Option<Start> {
        let origin = |origin: Origin| Some(Start::Origin(origin.into()));
        match self.since.as_deref() {
            Some("beginning") => origin(Origin::Beginning),
            Some("now") => origin(Origin::Now),
            Some(text) => Some(match when::parse(text) {
                Ok(time) => Start::Time(time),
                Err(_) => Start::Cursor(text.to_owned()),
            }),
            None if self.from_beginning => origin(Origin::Beginning),
            None if self.snapshot => origin(Origin::Snapshot),
            None if self.consumer.is_some() => None,
            None => origin(Origin::Now),
        }
    }

    fn request(&self) -> WatchRequest {
        WatchRequest {
            view: View::from(self.view).into(),
            filter: Some(self.filter.to_filter()),
            start: self.start(),
            consumer: match self.consumer {
                None => Consumer::Unspecified,
                Some(ConsumerArg::Replica) => Consumer::Replica,
                Some(ConsumerArg::Notifier) => Consumer::Notifier,
            }
            .into(),
            max_age: self.max_age,
            ..WatchRequest::default()
        }
    }

    async fn open(&self, position: Option<Position>) -> Result<Subscriber, Failure> {
        let (server, request) = (&self.server.connection(), self.request());
        if self.verify {
            Subscriber::open_proved(server, request).await
        } else {
            Subscriber::open(server, request, position).await
        }
    }
}

/// Follows until Ctrl-C or the limit, and says then how to go on.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    if args.batch && args.output != Output::Cloudevents {
        say("error: --batch is for --output cloudevents");
        return Ok(USAGE.into());
    }
    let mut state = match &args.state_file {
        Some(path) => Some(StateFile::open(path, &args.request())?),
        None => None,
    };
    let position = state.as_ref().and_then(StateFile::position);
    let opened = args.open(position).await;
    let mut subscriber = opened.map_err(|failure| args.filter.explain(failure))?;
    let (server, view) = (&args.server.connection(), args.view.into());
    let mut events = Printer::open(args.output, server, view, args.batch).await?;
    let (mut position, mut left) = (Position::default(), args.limit.unwrap_or(u64::MAX));
    let mut told = waits;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    while left > 0 {
        let (event, now) = tokio::select! {
            biased;
            _ = &mut interrupted => break,
            next = subscriber.next(&mut told) => next?,
        };
        let cursor = (now.cursor != position.cursor).then_some(now.cursor.as_str());
        let printed = match &mut events {
            Some(events) => {
                let is_last = subscriber.is_between_responses();
                events.print(&event, cursor, is_last).await
            }
            None => print(&args, &event, cursor),
        };
        match printed {
            Ok(printed) => left -= printed,
            Err(error) => {
                // Nobody reads any more; what was read before is not to come again.
                store(state.as_mut(), &position)?;
                return Err(error);
            }
        }
        position = now;
        if let Some(state) = state.as_mut().filter(|_| subscriber.is_between_responses()) {
            // What was printed is out before it is written down that it was.
            anstream::stdout().flush()?;
            store(Some(state), &position)?;
        }
    }
    if let Some(events) = &mut events {
        events.end_response()?;
    }
    anstream::stdout().flush()?;
    if state.is_some() {
        store(state.as_mut(), &position)?;
    } else if args.output == Output::Table && !position.cursor.is_empty() {
        say(format_args!(
            "to go on from here, add: --since {}",
            position.cursor
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes down where it stands, if it has come anywhere.
fn store(state: Option<&mut StateFile>, position: &Position) -> Result<()> {
    match state {
        Some(state) if !position.cursor.is_empty() => state.store(position),
        _ => Ok(()),
    }
}

/// Prints what came; answers how many of the wanted it was.
fn print(args: &Args, event: &Event, cursor: Option<&str>) -> Result<u64> {
    match event {
        Event::Record(record) => {
            let line = |record: &Record| record.kind.as_ref().map(record_line).unwrap_or_default();
            write_one(args.output.format(), &Snapshot::new(record, cursor), || {
                line(record)
            })?;
            Ok(1)
        }
        Event::Change(change) => {
            write_one(args.output.format(), &Document::new(change, cursor), || {
                line(change)
            })?;
            Ok(1)
        }
        Event::Checkpoint(checkpoint) => {
            if checkpoint.caught_up {
                let caught_up = CaughtUp {
                    caught_up: checkpoint.sequence.to_string(),
                    cursor,
                };
                write_one(args.output.format(), &caught_up, || {
                    format!("{:>6}  caught up; what follows is new", checkpoint.sequence)
                })?;
            }
            tell(args, checkpoint, cursor.unwrap_or_default());
            Ok(0)
        }
    }
}

fn tell(args: &Args, checkpoint: &Checkpoint, cursor: &str) {
    if args.checkpoints {
        say(format_args!(
            "checkpoint: {} of {}, cursor {cursor}",
            checkpoint.sequence, checkpoint.head_sequence
        ));
    }
    if let Some(digest) = checkpoint.digest.as_ref().filter(|_| args.verify) {
        say(format_args!(
            "proved at {}: what came is what the feed shows, {} records in all",
            checkpoint.sequence, digest.records
        ));
    }
}

fn write_one<D: Serialize>(
    format: Format,
    document: &D,
    line: impl FnOnce() -> String,
) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Table => writeln!(out, "{}", line())?,
        Format::Ndjson => writeln!(out, "{}", serde_json::to_string(document)?)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(document)?)?,
        Format::Yaml => write!(out, "---\n{}", serde_norway::to_string(document)?)?,
    }
    out.flush()?;
    Ok(())
}

/// A change as data; the last one of a response carries the cursor to resume after it.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    #[serde(flatten)]
    change: DynamicMessage,
}

impl<'a> Document<'a> {
    fn new(change: &Change, cursor: Option<&'a str>) -> Self {
        Self {
            cursor,
            change: json::document(change),
        }
    }
}

/// A record of a snapshot as data.
#[derive(Serialize)]
struct Snapshot<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    snapshot: DynamicMessage,
}

impl<'a> Snapshot<'a> {
    fn new(record: &Record, cursor: Option<&'a str>) -> Self {
        Self {
            cursor,
            snapshot: json::document(record),
        }
    }
}

/// That a snapshot is complete, as of a sequence.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CaughtUp<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
    /// As protobuf's JSON writes 64-bit numbers.
    caught_up: String,
}

/// One record of a snapshot as a line, in the columns of changes.
fn record_line(body: &Body) -> String {
    let about = format!("{:<17} {}", type_word(body), title(body));
    format!(
        "{:>6}  {:<9}  {:<55}  {}",
        "",
        "is there",
        body.name(),
        printable(&about)
    )
    .trim_end()
    .to_owned()
}

/// One change as a line: sequence, what happened, name, what it is.
pub(super) fn line(change: &Change) -> String {
    let style = match change.r#type() {
        Type::Published => anstyle::AnsiColor::Green,
        Type::Retracted | Type::Merged | Type::Deleted | Type::Purged | Type::Left => {
            anstyle::AnsiColor::Red
        }
        _ => anstyle::AnsiColor::Cyan,
    };
    let style = anstyle::Style::new().fg_color(Some(style.into()));
    let what = change
        .r#type()
        .as_str_name()
        .trim_start_matches("TYPE_")
        .to_ascii_lowercase();
    let body = change
        .record
        .as_ref()
        .and_then(|record| record.kind.as_ref());
    let about = body
        .map(|body| format!("{:<17} {}", type_word(body), title(body)))
        .unwrap_or_default();
    let about = if change.note.is_empty() {
        about
    } else {
        format!("{about} \"{}\"", change.note)
    };
    format!(
        "{:>6}  {style}{what:<9}{style:#}  {:<55}  {}",
        change.sequence,
        change.name,
        printable(&about)
    )
    .trim_end()
    .to_owned()
}
