//! Progress of an import: a bar on a terminal, otherwise a line every few seconds.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use dateline_client::bulk::WriteReport;
use dateline_formats::import::Source;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{output::print_message, progress::ProgressTimer};

pub(super) struct ImportProgress {
    bar: ProgressBar,
    /// Number of bytes of the file read so far.
    read: Arc<AtomicU64>,
    timer: ProgressTimer,
    /// Notes to print at the end.
    notes: Vec<String>,
}

impl ImportProgress {
    pub(super) fn new(source: &Source) -> Self {
        let style = match source.bytes {
            Some(_) => "{spinner} {bytes}/{total_bytes} {wide_bar} {msg} {eta} left",
            None => "{spinner} {bytes} {msg} {elapsed}",
        };
        let bar = source
            .bytes
            .map_or_else(ProgressBar::no_length, ProgressBar::new);
        // An invalid style leaves the default one.
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            bar,
            read: source.read.clone(),
            timer: ProgressTimer::begin(),
            notes: Vec::new(),
        }
    }

    pub(super) fn update(&mut self, report: &WriteReport, rejected: usize) {
        let records = report.sent() + rejected;
        let rate = self.timer.rate(records as u64);
        let message = format!("{records} records, {rate:.0}/s");
        let read = self.read.load(Ordering::Relaxed);
        self.bar.set_position(read);
        self.bar.set_message(message.clone());
        if self.bar.is_hidden() && self.timer.is_due() {
            let share = self.bar.length().filter(|length| *length > 0);
            let share = share.map(|length| format!("{} % of the file, ", read * 100 / length));
            print_message(format_args!("{}{message}", share.unwrap_or_default()));
        }
    }

    pub(super) fn set_phase(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Runs `work` with the bar hidden.
    pub(super) fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.bar.suspend(work)
    }

    pub(super) fn add_notes(&mut self, notes: Vec<String>) {
        self.notes.extend(notes);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn print_notes(&self) {
        for note in &self.notes {
            print_message(note);
        }
    }
}
