//! How many records have been done, for who waits: a bar with rate and remaining time on a terminal, now and then a line
//! elsewhere.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};

use super::output::{say, stands_below};

/// Between two lines where there is no terminal.
const SILENCE: Duration = Duration::from_secs(10);

/// A bar that leaves nothing on the screen, however the work ends; `{rate}` is whole records a second.
pub(super) fn bar(length: Option<u64>, template: &str) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let style = ProgressStyle::with_template(template);
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = bar
        .with_style(style.with_key("rate", rate))
        .with_finish(ProgressFinish::AndClear);
    stands_below(&bar);
    bar
}

fn rate(state: &ProgressState, out: &mut dyn fmt::Write) {
    // No more is lost than what is behind the point.
    let whole = Duration::try_from_secs_f64(state.per_sec()).map_or(0, |rate| rate.as_secs());
    // The line that it is written into takes everything.
    let _ = write!(out, "{}/s", HumanCount(whole));
}

/// When something was begun, and when it was last told of.
#[derive(Debug)]
pub(super) struct Pace {
    began: Instant,
    told: Mutex<Instant>,
}

impl Pace {
    /// Begins now.
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            told: Mutex::new(now),
        }
    }

    /// So many a second.
    pub(super) fn rate(&self, count: u64) -> f64 {
        count as f64 / self.began.elapsed().as_secs_f64().max(0.001)
    }

    /// Whether another line is due; then it is taken for told.
    pub(super) fn is_due(&self) -> bool {
        self.told.lock().is_ok_and(|mut told| {
            let is_due = told.elapsed() >= SILENCE;
            if is_due {
                *told = Instant::now();
            }
            is_due
        })
    }
}

/// Records that are counted.
#[derive(Debug)]
pub(super) struct Counting {
    bar: ProgressBar,
    pace: Pace,
}

impl Counting {
    /// None yet, of so many if that is known.
    pub(super) fn new(expected: Option<u64>) -> Self {
        let template = match expected {
            Some(_) => "{spinner} {human_pos} of {human_len} records {wide_bar} {rate}, {eta} left",
            None => "{spinner} {human_pos} records, {rate}",
        };
        Self {
            bar: bar(expected, template),
            pace: Pace::begin(),
        }
    }

    /// So many more.
    pub(super) fn add(&self, records: u64) {
        self.bar.inc(records);
        if self.bar.is_hidden() && self.pace.is_due() {
            let count = self.bar.position();
            let of = self.bar.length();
            let of = of.map(|all| format!(" of {}", HumanCount(all)));
            say(format_args!(
                "{}{} records, {:.0}/s",
                HumanCount(count),
                of.unwrap_or_default(),
                self.pace.rate(count)
            ));
        }
    }

    /// Nothing is to be seen any more.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
