//! Progress of long runs: a bar with rate and remaining time on a terminal, otherwise a line every few seconds.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

use super::output::{print_above, print_message};

/// Interval of progress lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A bar that is cleared however the work ends; `{rate}` is whole records per second.
pub(super) fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar
        .with_style(style.with_key("rate", rate))
        .with_finish(ProgressFinish::AndClear);
    print_above(&bar);
    bar
}

fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // Only the fraction is lost.
    let whole = Duration::try_from_secs_f64(state.per_sec()).map_or(0, |rate| rate.as_secs());
    // Writing to this buffer cannot fail.
    let _ = write!(out, "{}/s", HumanCount(whole));
}

/// Start time, and time of the last progress line.
#[derive(Debug)]
pub(super) struct ProgressTimer {
    began: Instant,
    last_line: Mutex<Instant>,
}

impl ProgressTimer {
    /// Starts now.
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            last_line: Mutex::new(now),
        }
    }

    /// Average rate per second.
    pub(super) fn rate(&self, count: u64) -> f64 {
        count as f64 / self.began.elapsed().as_secs_f64().max(0.001)
    }

    /// True if the next progress line is due; also marks it as printed.
    pub(super) fn is_due(&self) -> bool {
        self.last_line.lock().is_ok_and(|mut last_line| {
            let is_due = last_line.elapsed() >= LINE_INTERVAL;
            if is_due {
                *last_line = Instant::now();
            }
            is_due
        })
    }
}

/// A counter of records, shown as progress.
#[derive(Debug)]
pub(super) struct RecordProgress {
    bar: ProgressBar,
    timer: ProgressTimer,
}

impl RecordProgress {
    /// Starts at 0; `expected` is the total, if known.
    pub(super) fn new(expected: Option<u64>) -> Self {
        let template = match expected {
            Some(_) => "{spinner} {human_pos} of {human_len} records {wide_bar} {rate}, {eta} left",
            None => "{spinner} {human_pos} records, {rate}",
        };
        Self {
            bar: bar(expected, template),
            timer: ProgressTimer::begin(),
        }
    }

    /// Adds to the count.
    pub(super) fn add(&self, records: u64) {
        self.bar.inc(records);
        if self.bar.is_hidden() && self.timer.is_due() {
            let count = self.bar.position();
            let of = self.bar.length();
            let of = of.map(|all| format!(" of {}", HumanCount(all)));
            print_message(format_args!(
                "{}{} records, {:.0}/s",
                HumanCount(count),
                of.unwrap_or_default(),
                self.timer.rate(count)
            ));
        }
    }

    /// Clears the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
