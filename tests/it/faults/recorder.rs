//! Records events in one order and on one clock.

use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use dateline_proto::v1::{RecordFilter, View, WatchResponse};

use crate::{
    validator::history,
    validator::history::{Answer, Event, HexMessage, Start},
};

/// A history that is being recorded.
pub struct Recorder {
    begun: Instant,
    events: Mutex<Vec<Event>>,
    numbers: AtomicU64,
    acknowledged: AtomicUsize,
}

impl Recorder {
    pub fn new(seed: u64, checkpoint_ms: u64) -> Self {
        let begin = Event::Begin {
            seed,
            checkpoint_ms,
        };
        Self {
            begun: Instant::now(),
            events: Mutex::new(vec![begin]),
            numbers: AtomicU64::new(1),
            acknowledged: AtomicUsize::new(0),
        }
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap()
    }

    /// Number of requests acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Acquire)
    }

    pub fn asked(&self, names: Vec<String>) -> u64 {
        let request = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.add(|at| Event::Asked { at, request, names });
        request
    }

    pub fn answered(&self, request: u64, answer: Answer) {
        if matches!(answer, Answer::Acknowledged { .. }) {
            self.acknowledged.fetch_add(1, Ordering::AcqRel);
        }
        self.add(|at| Event::Answered {
            at,
            request,
            answer,
        });
    }

    pub fn opened(
        &self,
        watcher: &str,
        server: usize,
        view: View,
        filter: &RecordFilter,
        start: Start,
    ) -> u64 {
        let connection = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.add(|at| Event::Opened {
            at,
            connection,
            watcher: watcher.to_owned(),
            server: server.to_string(),
            view: view.into(),
            filter: HexMessage(filter.clone()),
            start,
        });
        connection
    }

    pub fn received(&self, connection: u64, response: WatchResponse) {
        self.add(|at| Event::Received {
            at,
            connection,
            response: HexMessage(response),
        });
    }

    pub fn ended(&self, connection: u64, reason: String) {
        self.add(|at| Event::Ended {
            at,
            connection,
            reason,
        });
    }

    /// Adds an event at the current time.
    pub fn add(&self, event: impl FnOnce(u64) -> Event) {
        let mut events = self.events.lock().unwrap();
        // Under the lock, so that events are in the order of their times.
        events.push(event(self.now()));
    }

    /// Returns all events, and writes them to a file that is kept until the next run of the same name.
    pub fn finish(&self, name: &str) -> (Vec<Event>, PathBuf) {
        let events = std::mem::take(&mut *self.events.lock().unwrap());
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = directory.join(format!("history-{name}.jsonl"));
        history::save(&events, &path);
        (events, path)
    }
}
