//! `dateline verify`: verifies that the log, the records and the digest of a server agree, or that a recorded stream is
//! a true replica. Reports each difference. Holds names and hashes, not records.

use std::{
    io::{BufRead, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use dateline_client::{Client, Connection, Event, Failure, ReplicaDigest, Subscriber};
use dateline_proto::{
    DESCRIPTORS,
    v1::{
        Change, GetFeedResponse, ListRecordsRequest, Origin, Record, View, WatchRequest,
        watch_request::Start,
    },
};
use indicatif::ProgressBar;
use serde_json::Value;

use super::{
    FAILED, INTERRUPTED, Server,
    export::{self, verify::is_export},
    feed,
    filter::ViewArg,
    json,
    output::{print_message, report_outage, report_recovery},
    progress,
    signals::Signals,
};

/// Maximum number of differences reported.
const MAX_REPORTED: usize = 100;
/// Records per page of a list.
const PAGE_SIZE: i32 = 1000;
/// Maximum number of reads of records that others are changing.
const MAX_ATTEMPTS: u32 = 5;

/// Maximum length of a line of a recorded stream.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// Pause before a lagging server is asked again.
const LAG_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// `dateline verify`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Output of `dateline watch --output ndjson`, from a snapshot or the beginning (`-` is stdin); or the directory or
    /// URL of an export [default: verify the server itself]
    #[arg(value_name = "FILE|DIR|URL")]
    file: Option<PathBuf>,
    /// The wire feed of published records, or the desk feed
    #[arg(long, value_enum, default_value_t)]
    view: ViewArg,
    #[command(flatten)]
    server: Server,
}

/// Verifies; exit 1 if there are differences.
pub(super) async fn run(args: Args) -> Result<ExitCode> {
    let verifier = Verifier {
        server: args.server.connection(),
        view: args.view.into(),
        bar: progress::bar(None, "{spinner} {msg}: {human_pos} ({rate})"),
    };
    let bar = verifier.bar.clone();
    let mut signals = Signals::new()?;
    // A read of stdin may block: signals are handled beside it.
    let work = tokio::spawn(async move { verifier.differences(args.file.as_deref()).await });
    let differences = tokio::select! {
        done = work => Some(done?),
        () = signals.next() => None,
    };
    bar.finish_and_clear();
    let Some(differences) = differences else {
        print_message("stopped before everything was compared");
        return Ok(INTERRUPTED.into());
    };
    let differences = differences?;
    for (name, how) in differences.iter().take(MAX_REPORTED) {
        print_message(format_args!("{name}: {how}"));
    }
    if differences.len() > MAX_REPORTED {
        print_message(format_args!(
            "and {} more",
            differences.len() - MAX_REPORTED
        ));
    }
    Ok(if differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        print_message(format_args!("{} differences", differences.len()));
        FAILED.into()
    })
}

type Differences = Vec<(String, String)>;

struct Verifier {
    server: Connection,
    view: View,
    bar: ProgressBar,
}

impl Verifier {
    async fn differences(&self, path: Option<&Path>) -> Result<Differences> {
        match path {
            Some(path) if is_export(path) => export::verify::run(path, &self.bar).await,
            Some(path) => self.file(path).await,
            None => self.server().await,
        }
    }

    /// Compares the fold of the log with a snapshot, the snapshot with lists, and the result with the digest.
    async fn server(&self) -> Result<Differences> {
        let mut follower = ReplicaFollower::begin(self).await?;
        let at = follower.sequence;
        let mut differences = Vec::new();
        if let Some(log) = self.log_up_to(at).await? {
            differences = log.differences("the log", &follower.replica, "a snapshot");
        } else {
            print_message("the log does not reach back to the beginning; it is left out");
        }
        differences.extend(self.lists(&mut follower).await?);
        match follower.check_digest(self).await {
            Ok(sequence) => print_message(format_args!(
                "{} records at {sequence}; the digest is theirs",
                follower.replica.len()
            )),
            Err(failure) => differences.push(("the digest".to_owned(), failure.to_string())),
        }
        Ok(differences)
    }

    /// Folds the log up to a sequence; `None` if it was compacted.
    async fn log_up_to(&self, at: i64) -> Result<Option<ReplicaDigest>> {
        self.bar.set_message("reading the log");
        let mut log = match self.open(Origin::Beginning).await {
            Err(failure) if failure.reason == "CURSOR_EXPIRED" => return Ok(None),
            opened => opened?,
        };
        log.follow_to(at).await?;
        Ok(Some(log.replica))
    }

    /// Compares lists with a stream. Others may write meanwhile: differing records are read again.
    async fn lists(&self, follower: &mut ReplicaFollower<'_>) -> Result<Differences> {
        let mut differences = Vec::new();
        for _ in 0..MAX_ATTEMPTS {
            let listed = self.listed().await?;
            let head = self.feed().await?.head_sequence;
            follower.follow_to(head).await?;
            let now = follower
                .replica
                .differences("the stream", &listed, "a list");
            let was_empty = differences.is_empty();
            // Only a record that differs twice is reported.
            differences = if was_empty {
                now
            } else {
                now.into_iter()
                    .filter(|difference| differences.contains(difference))
                    .collect()
            };
            if differences.is_empty() {
                break;
            }
        }
        Ok(differences)
    }

    async fn listed(&self) -> Result<ReplicaDigest> {
        self.bar.set_message("listing records");
        let mut client = Client::connect_with(&self.server).await?;
        let mut replica = ReplicaDigest::default();
        let mut page_token = String::new();
        loop {
            let request = ListRecordsRequest {
                view: self.view.into(),
                page_size: PAGE_SIZE,
                page_token,
                ..ListRecordsRequest::default()
            };
            let answer = client.records.list_records(request).await;
            let answer = answer.map_err(Failure::from)?.into_inner();
            for record in &answer.records {
                self.bar.inc(1);
                replica.insert(record);
            }
            if answer.next_page_token.is_empty() {
                return Ok(replica);
            }
            page_token = answer.next_page_token;
        }
    }

    async fn feed(&self) -> Result<GetFeedResponse> {
        feed::get(&Client::connect_with(&self.server).await?, self.view).await
    }

    async fn open(&self, origin: Origin) -> Result<ReplicaFollower<'_>, Failure> {
        let request = WatchRequest {
            view: self.view.into(),
            start: Some(Start::Origin(origin.into())),
            ..WatchRequest::default()
        };
        Ok(ReplicaFollower {
            subscriber: Subscriber::open(&self.server, request, None).await?,
            replica: ReplicaDigest::default(),
            sequence: 0,
            bar: &self.bar,
        })
    }

    /// Compares a recorded stream with the log at the sequence of its end.
    async fn file(&self, path: &Path) -> Result<Differences> {
        let recorded = if path == Path::new("-") {
            fold_recording(std::io::stdin().lock(), &mut report_cut)
        } else {
            let file = dateline_files::open(path);
            let file = file.with_context(|| format!("cannot read {}", path.display()))?;
            fold_recording(std::io::BufReader::new(file), &mut report_cut)
        };
        let (replica, at) = recorded.with_context(|| path.display().to_string())?;
        let Some(log) = self.log_up_to(at).await? else {
            bail!(
                "the server's log does not reach back to the beginning, so what it showed at {at} cannot be told"
            );
        };
        print_message(format_args!("{} records at {at}", replica.len()));
        Ok(replica.differences("the file", &log, "the log"))
    }
}

/// A replica that a stream keeps up to date.
struct ReplicaFollower<'a> {
    subscriber: Subscriber,
    replica: ReplicaDigest,
    sequence: i64,
    bar: &'a ProgressBar,
}

impl<'a> ReplicaFollower<'a> {
    async fn begin(verifier: &'a Verifier) -> Result<Self> {
        verifier.bar.set_message("taking a snapshot");
        let mut follower = verifier.open(Origin::Snapshot).await?;
        loop {
            if let Event::Checkpoint(checkpoint) = follower.next_event().await?
                && checkpoint.caught_up
            {
                return Ok(follower);
            }
        }
    }

    async fn next_event(&mut self) -> Result<Event, Failure> {
        let (event, _) = self.subscriber.next(&mut report_outage).await?;
        report_recovery();
        self.bar.inc(1);
        self.replica.apply(&event);
        match &event {
            Event::Record(_) => {}
            Event::Change(change) => {
                self.sequence = change.sequence;
            }
            Event::Checkpoint(checkpoint) => {
                self.sequence = checkpoint.sequence;
            }
        }
        Ok(event)
    }

    async fn follow_to(&mut self, sequence: i64) -> Result<()> {
        while self.sequence < sequence {
            self.next_event().await?;
        }
        Ok(())
    }

    /// Follows the feed up to the head that the server reports, and compares the digests; returns the sequence. Asks
    /// the server instead of waiting for a checkpoint: a feed under constant writes sends none.
    async fn check_digest(&mut self, verifier: &Verifier) -> Result<i64> {
        self.bar.set_message("comparing with the digest");
        loop {
            let feed = verifier.feed().await?;
            self.follow_to(feed.head_sequence).await?;
            // Another replica of the server may report an older head than this stream has reached.
            if self.sequence == feed.head_sequence {
                let said = feed.digest.context("the server tells no digest: it is of the whole view, and this token sees a part of it")?;
                self.replica.check(&said, &[], self.sequence)?;
                return Ok(self.sequence);
            }
            tokio::time::sleep(LAG_POLL_INTERVAL).await;
        }
    }
}

/// The state of a recorded stream.
#[derive(Default)]
struct RecordedStream {
    replica: ReplicaDigest,
    /// The sequence of the replica.
    at: i64,
    /// True in a snapshot that is not complete: the copy is then valid for no sequence.
    in_snapshot: bool,
}

fn report_cut(line: u64) {
    print_message(format_args!(
        "line {line} is the last one and not whole; it is left out"
    ));
}

/// Folds the lines of `dateline watch --output ndjson`; returns the copy and its sequence. `cut` is called for an
/// incomplete last line, which is left out.
pub(super) fn fold_recording(
    mut lines: impl BufRead,
    cut: &mut dyn FnMut(u64),
) -> Result<(ReplicaDigest, i64)> {
    let mut recorded = RecordedStream::default();
    let mut line = String::new();
    for number in 1.. {
        line.clear();
        if lines.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE_BYTES {
            bail!("line {number} is longer than any of `dateline watch`");
        }
        match recorded.read_line(line.trim()) {
            // A watcher that was killed may have left an incomplete line.
            Err(_) if !line.ends_with('\n') => cut(number),
            read => read.with_context(|| format!("line {number}"))?,
        }
    }
    if recorded.in_snapshot {
        bail!(
            "ends inside of its snapshot, before the line with caughtUp: let `dateline watch` go on"
        );
    }
    Ok((recorded.replica, recorded.at))
}

impl RecordedStream {
    fn read_line(&mut self, line: &str) -> Result<()> {
        if line.is_empty() {
            return Ok(());
        }
        let mut line: Value = serde_json::from_str(line)?;
        let Some(fields) = line.as_object_mut() else {
            bail!("is no line of `dateline watch --output ndjson`");
        };
        fields.remove("cursor");
        if let Some(sequence) = fields.get("caughtUp") {
            let sequence = sequence.as_str().and_then(|digits| digits.parse().ok());
            let sequence = sequence.filter(|sequence| *sequence >= 0);
            self.at = sequence.context("caughtUp is a sequence")?;
            self.in_snapshot = false;
            return Ok(());
        }
        if let Some(record) = fields.remove("snapshot") {
            self.in_snapshot = true;
            self.replica
                .insert(&message::<Record>(&record, "dateline.v1.Record")?);
            return Ok(());
        }
        let change = message::<Change>(&line, "dateline.v1.Change")?;
        // A watcher that was killed between a line and its state file prints the line again.
        if change.sequence <= self.at && !self.in_snapshot {
            return Ok(());
        }
        if change.sequence.checked_sub(1) != Some(self.at) || self.in_snapshot {
            bail!(
                "change {} follows {}: this was not recorded from a snapshot or the beginning, or under a filter",
                change.sequence,
                self.at
            );
        }
        self.at = change.sequence;
        self.replica.apply_change(&change);
        Ok(())
    }
}

fn message<M: prost::Message + Default>(value: &Value, name: &str) -> Result<M> {
    let descriptor = DESCRIPTORS
        .get_message_by_name(name)
        .context("the schema has it")?;
    Ok(json::read_dynamic(&value.to_string(), descriptor)?.transcode_to()?)
}
