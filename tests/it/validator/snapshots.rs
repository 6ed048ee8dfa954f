//! Snapshots and digests against the feed: both describe the state at one sequence, so they are collected first and
//! compared in one walk along the feed (F5, F11).

use std::collections::BTreeMap;

use dateline_proto::v1::{Digest, Record, RecordFilter, View, WatchResponse};

use super::{
    Report,
    digest::FoldedState,
    history::{self, Watcher},
    matching::{self, Traits, is_tombstone},
    oracle::Oracle,
};

/// An incomplete snapshot.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    at: Option<i64>,
    records: Vec<Record>,
}

/// A snapshot that was declared complete.
pub struct Finished {
    watcher: String,
    view: View,
    filter: RecordFilter,
    /// The sequence of its parts; `None` if it has none.
    at: Option<i64>,
    /// The sequence at which it was declared complete.
    caught_up: i64,
    records: Vec<Record>,
}

/// Claims about the state of a feed.
#[derive(Default)]
pub struct Snapshots {
    finished: Vec<Finished>,
    digests: Vec<(View, String, i64, Digest)>,
}

/// Claims about one sequence: by snapshots, and by digests with their watchers.
type Claims<'a> = (Vec<&'a Finished>, Vec<(&'a str, &'a Digest)>);

impl Parts {
    /// Adds a part; returns the problem with it, if any.
    pub fn add(&mut self, response: &WatchResponse) -> Option<String> {
        let at = response.snapshot_sequence;
        let begun = *self.at.get_or_insert(at);
        let mut problem =
            (begun != at).then(|| format!("a part as of {at} of a snapshot as of {begun}"));
        for record in &response.records {
            let name = history::name(record);
            let last = self.records.last().map_or("", history::name);
            if name <= last {
                problem = Some(format!("{name} comes after {last}"));
            }
            self.records.push(record.clone());
        }
        problem
    }

    pub fn finished(self, watcher: &Watcher, caught_up: i64) -> Finished {
        Finished {
            watcher: watcher.name.clone(),
            view: watcher.view,
            filter: watcher.filter.clone(),
            at: self.at,
            caught_up,
            records: self.records,
        }
    }
}

impl Snapshots {
    pub fn complete(&mut self, snapshot: Finished) {
        self.finished.push(snapshot);
    }

    pub fn digest(&mut self, watcher: &Watcher, at: i64, digest: Digest) {
        self.add_reported(watcher.view, &watcher.name, at, digest);
    }

    pub fn add_reported(&mut self, view: View, who: &str, at: i64, digest: Digest) {
        self.digests.push((view, who.to_owned(), at, digest));
    }

    /// Compares all claims about a view; returns the number of digests that could be computed.
    pub fn check(&mut self, oracle: &Oracle, report: &mut Report) -> usize {
        let (mut states, mut computed) = (oracle.states(), 0);
        let mut claims: BTreeMap<i64, Claims> = BTreeMap::new();
        for snapshot in self.finished.iter().filter(|one| one.view == oracle.view) {
            claims
                .entry(snapshot.caught_up)
                .or_default()
                .0
                .push(snapshot);
        }
        for (_, who, at, digest) in self.digests.iter().filter(|one| one.0 == oracle.view) {
            claims.entry(*at).or_default().1.push((who, digest));
        }
        for (at, (snapshots, digests)) in claims {
            if at > oracle.head() {
                report.add(
                    15,
                    "F11",
                    "a claim",
                    at,
                    "beyond what anybody saw".to_owned(),
                );
                continue;
            }
            let copy = states.at(at);
            for snapshot in snapshots {
                snapshot.check(copy, oracle, report);
            }
            let expected = copy.digest();
            for (who, digest) in digests {
                let Some(expected) = &expected else { continue };
                computed += 1;
                if digest != expected {
                    let text = format!(
                        "the digest says {}, and the feed comes to {}",
                        describe_digest(digest),
                        describe_digest(expected)
                    );
                    report.add(10, "F11", who, at, text);
                }
            }
        }
        computed
    }
}

impl Finished {
    fn check(&self, copy: &FoldedState, oracle: &Oracle, report: &mut Report) {
        let mut violation =
            |text: String| report.add(12, "F5", &self.watcher, self.caught_up, text);
        if self.at.is_some_and(|at| at != self.caught_up) {
            violation(format!("a snapshot as of {:?}", self.at));
        }
        let mut due: BTreeMap<&str, &Record> = copy
            .records
            .iter()
            .filter(|(name, record)| !oracle.erased.contains(*name) && is_in(record, &self.filter))
            .map(|(name, record)| (name.as_str(), record))
            .collect();
        for record in &self.records {
            let name = history::name(record);
            match due.remove(name) {
                Some(expected) if expected != record => {
                    violation(format!("{name} is not as it was"));
                }
                None if !oracle.erased.contains(name) => {
                    violation(format!("{name} does not belong there"));
                }
                _ => {}
            }
        }
        for name in due.keys() {
            violation(format!("{name} is not there"));
        }
    }
}

/// True if a snapshot or a list under a filter includes a record. Tombstones only if their state is requested.
pub fn is_in(record: &Record, filter: &RecordFilter) -> bool {
    let traits = Traits::from_record(record);
    (!is_tombstone(traits.state) || filter.states.contains(&traits.state))
        && matching::matches(filter, &traits)
}

fn describe_digest(digest: &Digest) -> String {
    let kinds: Vec<_> = digest
        .kinds
        .iter()
        .map(|kind| format!("{}×{}", kind.records, kind.kind))
        .collect();
    let word = digest.digest.get(..4).map(hex::encode).unwrap_or_default();
    format!("{} records ({}) {word}…", digest.records, kinds.join(" "))
}
