//! `dateline watch --exec`: delivers the feed to a command that acknowledges by its exit code. A delivery is processed,
//! and the next one starts, only after its acknowledgement.

use std::{
    fmt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::{output::print_message, signals::Signals};

/// Pause before the second attempt; doubled for each further one.
const INITIAL_BACKOFF: Duration = Duration::from_millis(250);
/// Maximum backoff between two attempts.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Flags of `--exec`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Shell command (`sh -c`) to receive the output on stdin, in whole batches; the next batch follows when it exits
    /// with 0. `DATELINE_CURSOR` is the cursor after its input, `DATELINE_SEQUENCE` the last sequence
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,
    /// Attempts with the same input, at growing intervals, before the watch ends with code 1
    #[arg(long, value_name = "N", default_value_t = 8, requires = "exec", value_parser = clap::value_parser!(u32).range(1..))]
    exec_attempts: u32,
}

/// Changes delivered together.
pub(super) struct Delivery<'a> {
    /// The formatted lines.
    pub input: Bytes,
    /// Cursor to resume after them.
    pub cursor: &'a str,
    /// Last sequence of the input; 0 within a snapshot.
    pub sequence: i64,
}

impl fmt::Display for Delivery<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            0 => out.write_str("a part of the snapshot"),
            sequence => write!(out, "what ends with sequence {sequence}"),
        }
    }
}

/// Outcome of a delivery.
pub(super) enum DeliveryOutcome {
    /// The command exited with 0.
    Acknowledged,
    /// The command did not acknowledge it, and is not tried again. Holds the reason.
    Kept(String),
}

/// Runs the command.
#[derive(Debug)]
pub(super) struct Exec {
    command: String,
    attempts: u32,
    /// Number of signals received.
    asked_to_end: u32,
}

impl Exec {
    /// `None` if no command is named.
    pub(super) fn new(args: &Args) -> Option<Self> {
        Some(Self {
            command: args.exec.clone()?,
            attempts: args.exec_attempts,
            asked_to_end: 0,
        })
    }

    /// True if a signal arrived while the command ran.
    pub(super) fn is_asked_to_end(&self) -> bool {
        self.asked_to_end > 0
    }

    /// Runs the command until it acknowledges the delivery, its attempts are used up, or a signal asks to end.
    ///
    /// # Errors
    /// If the command cannot be started at all.
    pub(super) async fn deliver(
        &mut self,
        delivery: &Delivery<'_>,
        signals: &mut Signals,
    ) -> Result<DeliveryOutcome> {
        let mut backoff = INITIAL_BACKOFF;
        for attempt in 1..=self.attempts {
            let status = self.attempt(delivery, attempt, signals).await?;
            if status.success() {
                return Ok(DeliveryOutcome::Acknowledged);
            }
            let why = format!("the command of --exec ended with {status}");
            if self.is_asked_to_end() || attempt == self.attempts {
                let times = match attempt {
                    1 => String::new(),
                    attempt => format!(", at attempt {attempt}"),
                };
                return Ok(DeliveryOutcome::Kept(format!(
                    "{why}{times}; it did not acknowledge {delivery}, which is kept"
                )));
            }
            print_message(format_args!(
                "{why}; attempt {} of {} with {delivery} in {}",
                attempt + 1,
                self.attempts,
                humantime::format_duration(backoff),
            ));
            tokio::select! {
                biased;
                () = signals.next() => {
                    self.asked_to_end += 1;
                    return Ok(DeliveryOutcome::Kept(format!("{why}; {delivery} is kept")));
                }
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
        Ok(DeliveryOutcome::Kept(String::new()))
    }

    /// Runs the command to its end. Unread input is no failure: only the exit code counts.
    async fn attempt(
        &mut self,
        delivery: &Delivery<'_>,
        attempt: u32,
        signals: &mut Signals,
    ) -> Result<ExitStatus> {
        let mut command = Command::new("sh");
        command
            .args(["-c", &self.command])
            .env("DATELINE_CURSOR", delivery.cursor)
            .env("DATELINE_ATTEMPT", attempt.to_string())
            .env_remove("DATELINE_SEQUENCE")
            .stdin(Stdio::piped())
            // The terminal's Ctrl-C must not reach the command, which finishes its delivery.
            .process_group(0);
        if delivery.sequence > 0 {
            command.env("DATELINE_SEQUENCE", delivery.sequence.to_string());
        }
        let mut child = command
            .spawn()
            .context("cannot run a shell for the command of --exec")?;
        let input = delivery.input.clone();
        let stdin = child.stdin.take();
        let writing = tokio::spawn(async move {
            if let Some(mut stdin) = stdin {
                drop(stdin.write_all(&input).await);
            }
        });
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = signals.next() => self.end(&child),
            }
        };
        // A background process of the command may hold the pipe open.
        writing.abort();
        status.context("cannot wait for the command of --exec")
    }

    /// Handles signals: waits after the first, terminates the command at the second, kills it at the third.
    fn end(&mut self, child: &Child) {
        self.asked_to_end += 1;
        let signal = match self.asked_to_end {
            1 => {
                print_message("waiting for the command of --exec to end; Ctrl-C again ends it");
                return;
            }
            2 => Signal::SIGTERM,
            _ => Signal::SIGKILL,
        };
        if let Some(group) = child.id().and_then(|id| i32::try_from(id).ok())
            && killpg(Pid::from_raw(group), signal).is_err()
        {
            print_message("the command of --exec has ended already");
        }
    }
}
