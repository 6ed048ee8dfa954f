//! `dateline watch`: prints the feed. Resumes from its last cursor after an outage, and with a state file after a
//! restart.

mod exec;
mod lines;

use std::{
    io::{ErrorKind, Write},
    os::unix::fs::FileTypeExt,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use clap::{ValueEnum, builder::ArgPredicate};
use dateline_client::{Event, Failure, Position, Subscriber};
use dateline_proto::v1::{Checkpoint, Consumer, Origin, View, WatchRequest, watch_request::Start};
use dateline_record::mac;

use self::exec::{Delivery, DeliveryOutcome, Exec};
pub(super) use self::lines::line;
use super::{
    FAILED, Server,
    cloudevents::{Output, Printer},
    duration,
    filter::{self, ViewArg},
    misused,
    output::{print_message, report_outage, report_recovery, warn},
    signals::Signals,
    state_file::StateFile,
    time_arg,
};

/// `dateline watch`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Start position: a cursor, a time such as 2026-08-01T06:00:00Z, an age such as -2h, a day in UTC such as
    /// 2026-08-01 or yesterday, `beginning`, or `now`
    #[arg(long, conflicts_with_all = ["from_beginning", "snapshot"], value_name = "START", value_parser = since, allow_hyphen_values = true)]
    since: Option<Start>,
    /// Start with the first change: same as `--since beginning`
    #[arg(long, conflicts_with = "snapshot")]
    from_beginning: bool,
    /// Start with a snapshot of the existing records, then follow changes
    #[arg(long)]
    snapshot: bool,
    /// The wire feed of published records, or the desk feed of every change
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    /// Type of consumer: a replica needs everything, and starts with a snapshot; a notifier skips old changes after a
    /// pause
    #[arg(long, value_enum, value_name = "CONSUMER")]
    consumer: Option<ConsumerArg>,
    /// Maximum age of changes for a notifier, such as 10m [default: 5m]
    #[arg(long, value_name = "DURATION", value_parser = age)]
    max_age: Option<prost_types::Duration>,
    /// Verify the output against the server's digests; requires the whole feed, or whole kinds, from the beginning or a
    /// snapshot
    #[arg(long, conflicts_with = "state_file")]
    verify: bool,
    /// File that stores the position; a later run resumes from it
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    #[command(flatten)]
    exec: exec::Args,
    /// Stop after this many records and changes; with --exec after the batch that reaches it
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Report checkpoints on stderr
    #[arg(long)]
    checkpoints: bool,
    /// Output format; a table has a line per change; --exec uses ndjson unless another format is given
    #[arg(
        short,
        long,
        value_enum,
        default_value = "table",
        default_value_if("exec", ArgPredicate::IsPresent, "ndjson"),
        value_name = "FORMAT"
    )]
    output: Output,
    /// With `--output cloudevents`: print a list of events per response of the server, instead of one event per line
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

fn since(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => Ok(Start::Origin(Origin::Beginning.into())),
        "now" => Ok(Start::Origin(Origin::Now.into())),
        text => match time_arg::parse_point(text) {
            Ok(time) => Ok(Start::Time(time)),
            Err(_) if mac::split(text).is_some() => Ok(Start::Cursor(text.to_owned())),
            Err(error) => Err(format!(
                "it is neither a cursor nor a time: {error}; or beginning, or now"
            )),
        },
    }
}

/// Parses an age with its unit: 90s, 10m, 2h, 7d.
fn age(text: &str) -> Result<prost_types::Duration, String> {
    let age = duration::parse(text)?;
    prost_types::Duration::try_from(age).map_err(|error| error.to_string())
}

impl Args {
    fn start(&self) -> Option<Start> {
        let origin = |origin: Origin| Some(Start::Origin(origin.into()));
        match &self.since {
            Some(since) => Some(since.clone()),
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

    /// The error of flags that contradict each other.
    fn misuse(&self) -> Option<String> {
        if self.batch && self.output != Output::Cloudevents {
            return Some("--batch is for --output cloudevents".to_owned());
        }
        if Exec::new(&self.exec).is_some() && self.output == Output::Table {
            let wanted = "--exec takes ndjson, json, yaml or cloudevents as --output";
            return Some(format!("a table is for people; {wanted}"));
        }
        self.filter.misuse(self.view.into())
    }

    async fn open(&self, position: Option<Position>) -> Result<Subscriber, Failure> {
        let (server, request) = (&self.server.connection(), self.request());
        if self.verify {
            Subscriber::open_verified(server, request).await
        } else {
            Subscriber::open(server, request, position).await
        }
    }
}

/// Follows the feed until a signal or the limit, then reports the position.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    if let Some(wrong) = args.misuse() {
        return Ok(misused(&wrong));
    }
    let state = match &args.state_file {
        Some(path) => Some(StateFile::open(path, &args.request())?),
        None => None,
    };
    let exec = Exec::new(&args.exec);
    if state.is_some() && exec.is_none() && is_pipe() {
        warn(
            "what is written to a pipe counts as processed in --state-file, so a reader that crashes loses it; let --exec \
             CMD acknowledge what it has done, or write to a file with >> FILE",
        );
    }
    let mut run = WatchRun::open(&args, state, exec).await?;
    let ended = run.follow().await;
    run.end(ended)
}

/// True if stdout is a pipe or a socket: its reader processes the output later, without acknowledgement.
fn is_pipe() -> bool {
    let stdout = std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned();
    let kind = stdout.and_then(|stdout| Ok(std::fs::File::from(stdout).metadata()?.file_type()));
    kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
}

/// Outcomes of a watch without an error.
enum WatchEnd {
    /// A signal arrived, or the limit was reached.
    Asked,
    /// The reader closed the output.
    Unread,
    /// The command of --exec did not acknowledge a delivery; holds the reason.
    Kept(String),
}

/// A stream written to stdout or to a command.
struct WatchRun<'a> {
    args: &'a Args,
    subscriber: Subscriber,
    events: Option<Printer>,
    exec: Option<Exec>,
    state: Option<StateFile>,
    signals: Signals,
    /// Output received but not delivered yet.
    buffer: Vec<u8>,
    /// Position after the last event received.
    came: Position,
    /// Position after the last event delivered: written, or acknowledged by the command.
    done: Position,
    /// Sequence of the last change or complete snapshot delivered; 0 if none.
    sequence: i64,
    /// Remaining records and changes before the limit.
    left: u64,
}

impl<'a> WatchRun<'a> {
    async fn open(args: &'a Args, state: Option<StateFile>, exec: Option<Exec>) -> Result<Self> {
        let position = state.as_ref().and_then(StateFile::position);
        let opened = args.open(position.clone()).await;
        let subscriber = opened.map_err(|failure| args.filter.explain(failure))?;
        let (server, view) = (&args.server.connection(), args.view.into());
        let position = position.unwrap_or_default();
        Ok(Self {
            args,
            subscriber,
            events: Printer::open(args.output, server, view, args.batch).await?,
            exec,
            state,
            signals: Signals::new()?,
            buffer: Vec::new(),
            sequence: position.sequence,
            done: position.clone(),
            came: position,
            left: args.limit.unwrap_or(u64::MAX),
        })
    }

    async fn follow(&mut self) -> Result<WatchEnd> {
        let mut on_retry = report_outage;
        // A batch is never split for a command, whatever the limit.
        while self.left > 0 || self.exec.is_some() && !self.buffer.is_empty() {
            let (event, now) = tokio::select! {
                biased;
                () = self.signals.next() => return Ok(WatchEnd::Asked),
                next = self.subscriber.next(&mut on_retry) => next?,
            };
            report_recovery();
            self.buffer_event(&event, &now).await?;
            let is_last = self.subscriber.is_between_responses();
            let is_cut = matches!(&event, Event::Change(change) if !change.last_in_batch);
            let end = match (&self.exec, is_last) {
                (None, _) => self.print(is_last)?,
                (Some(_), true) if !is_cut => self.deliver().await?,
                (Some(_), _) => None,
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
        Ok(WatchEnd::Asked)
    }

    /// Formats an event into the buffer, and records its position.
    async fn buffer_event(&mut self, event: &Event, now: &Position) -> Result<()> {
        let cursor = (now.cursor != self.came.cursor).then_some(now.cursor.as_str());
        let out = &mut self.buffer;
        let count = match &mut self.events {
            Some(events) => {
                let is_last = self.subscriber.is_between_responses();
                events.write(out, event, cursor, is_last).await?
            }
            None => lines::write(out, self.args.output.format(), event, cursor)?,
        };
        if let Event::Checkpoint(checkpoint) = event {
            report_checkpoint(self.args, checkpoint, cursor.unwrap_or_default());
        }
        self.left = self.left.saturating_sub(count);
        self.sequence = match event {
            Event::Record(_) => 0,
            Event::Change(change) => change.sequence,
            Event::Checkpoint(checkpoint) => checkpoint.sequence,
        };
        self.came = now.clone();
        Ok(())
    }

    /// Writes the buffer to stdout and, at the end of a response, the position to the state file.
    fn print(&mut self, is_last: bool) -> Result<Option<WatchEnd>> {
        let mut out = anstream::stdout().lock();
        let written = out.write_all(&self.buffer).and_then(|()| out.flush());
        self.buffer.clear();
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                return Ok(Some(WatchEnd::Unread));
            }
            written => written?,
        }
        // A list of events is written only with the last event of its response.
        if is_last || !self.args.batch {
            self.done = self.came.clone();
        }
        if is_last {
            self.store()?;
        }
        Ok(None)
    }

    /// Delivers the buffer to the command; stores the position only after its acknowledgement.
    async fn deliver(&mut self) -> Result<Option<WatchEnd>> {
        let Some(exec) = &mut self.exec else {
            return Ok(None);
        };
        let delivery = Delivery {
            input: Bytes::from(std::mem::take(&mut self.buffer)),
            cursor: &self.came.cursor,
            sequence: self.sequence,
        };
        if !delivery.input.is_empty()
            && let DeliveryOutcome::Kept(why) = exec.deliver(&delivery, &mut self.signals).await?
        {
            return Ok(Some(WatchEnd::Kept(why)));
        }
        let is_asked_to_end = exec.is_asked_to_end();
        self.done = self.came.clone();
        self.store()?;
        Ok(is_asked_to_end.then_some(WatchEnd::Asked))
    }

    /// Stores the delivered position, if there is one.
    fn store(&mut self) -> Result<()> {
        match &mut self.state {
            Some(state) if !self.done.cursor.is_empty() => state.store(&self.done),
            _ => Ok(()),
        }
    }

    /// Delivers the rest, and reports how to resume.
    fn end(mut self, ended: Result<WatchEnd>) -> Result<ExitCode> {
        if let (Ok(WatchEnd::Asked), None, Some(events)) = (&ended, &self.exec, &mut self.events) {
            events.end_response(&mut self.buffer)?;
            if let Some(end) = self.print(true)? {
                return self.end(Ok(end));
            }
        }
        self.store()?;
        self.report_end(
            ended
                .as_ref()
                .is_ok_and(|end| matches!(end, WatchEnd::Unread)),
        );
        match ended? {
            WatchEnd::Asked => Ok(ExitCode::SUCCESS),
            WatchEnd::Unread => Ok(FAILED.into()),
            WatchEnd::Kept(why) => Err(anyhow!(why)),
        }
    }

    fn report_end(&self, is_unread: bool) {
        let Position { cursor, .. } = &self.done;
        let what = match (&self.exec, is_unread) {
            (Some(_), _) if cursor.is_empty() => {
                return print_message("nothing was acknowledged");
            }
            (Some(_), _) => "acknowledged",
            (None, true) => "nobody reads the output any more; written",
            (None, false) => "",
        };
        match (what, cursor.as_str()) {
            ("", "") => {}
            ("", cursor) if self.state.is_none() => {
                print_message(format_args!("to go on from here, add: --since {cursor}"));
            }
            ("", _) => {}
            (what, cursor) => print_message(format_args!("{what} up to cursor {cursor}")),
        }
    }
}

/// Reports a checkpoint if requested.
fn report_checkpoint(args: &Args, checkpoint: &Checkpoint, cursor: &str) {
    if args.checkpoints {
        print_message(format_args!(
            "checkpoint: {} of {}, cursor {cursor}",
            checkpoint.sequence, checkpoint.head_sequence
        ));
    }
    if let Some(digest) = checkpoint.digest.as_ref().filter(|_| args.verify) {
        print_message(format_args!(
            "proved at {}: what came is what the feed shows, {} records in all",
            checkpoint.sequence, digest.records
        ));
    }
}
