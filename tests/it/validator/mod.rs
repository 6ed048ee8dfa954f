//! Decides from a recorded history whether the promises of the feed were kept (F1–F12 of the contract, and invariants
//! 1–20 of the design's list of faults). It reads the answers to writers and the messages to watchers, and shares
//! no code with the service: it folds, filters and hashes on its own, as the schema specifies.
//!
//! | invariant | promise | check |
//! |---|---|---|
//! | 1 dense | F1 | unfiltered watchers together received every number |
//! | 2 reliable | F2 | acknowledged changes are received at their sequences; so is everything that is due |
//! | 3 no phantom | W2, F10 | received changes were acknowledged or abandoned; readers get nothing of the desk feed |
//! | 4 unique, 5 ordered | F1, F2 | numbers ascend, also over resumes; the wire feed is in the desk feed's order |
//! | 6 atomic | F3 | batches are contiguous, marked at their end; no checkpoint inside; a part of one is sent alone |
//! | 7 per record | F1, W3 | revisions are 1, 2, 3 …; none is acknowledged to two requests |
//! | 8 causal | F1 | referenced records are written before a record or with it |
//! | 9 real time | F1 | a request answered before another one was sent has lower numbers |
//! | 10 same for all | F1, F11 | no two watchers differ on a number; digests are those of the feed |
//! | 11 bookmarkable | F8, F12 | a checkpoint passes nothing that is due, and does not go back |
//! | 11 bookmarkable | F8, F12 | streams begin, and on shutdown end, with one; an idle stream gets one in time |
//! | 12 resumable | F4, F5 | a cursor resumes right after its response; a snapshot is the state at its sequence |
//! | 13, 14 explicit ends | F6 | probes with expired, foreign, future and malformed cursors get the specified errors |
//! | 15 durable | F1 | nothing was received beyond the last head, which is read after all faults |
//! | 17 liveness | F2, F8 | every resuming watcher reaches the head before the campaign's timeout ends the history |
//! | 18 replicas | F4 | the same as 10 and 12, since watchers resume at any server, and some are killed |
//! | 19 filter | F7 | a filtered stream gets what is due; its replica equals a list under the same filter |
//! | 20 identity | F7 | removed records have name, kind and next revision; a record agrees with its change |
//!
//! Not decided: 16 (an open transaction delays nobody: by construction, no client can hold one here), F9 (memory),
//! F13 (milliseconds). Filters by `time` are not decided either. Erased content (W11) differs for reads before and
//! after: on filtered streams such changes may be sent or not, except PURGED, which is sent to everybody.

pub mod digest;
pub mod history;
mod matching;
mod oracle;
mod snapshots;
mod streams;
mod tests;
mod valid_history;
mod writers;

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use dateline_proto::v1::{Record, RecordFilter, View, change::Type};

use self::{
    history::{Event, HexMessage, Start, Watcher, watchers},
    oracle::Oracle,
    snapshots::Snapshots,
    streams::Reader,
    writers::KnownHeads,
};

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Number in the list of invariants.
    pub invariant: u8,
    /// Number in the contract.
    pub promise: &'static str,
    /// The watcher that received it.
    pub watcher: String,
    /// The sequence; 0 if there is none.
    pub sequence: i64,
    /// Description of the violation.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            promise,
            watcher,
            sequence,
            text,
        } = self;
        write!(
            out,
            "{promise}, invariant {invariant}: {watcher} at {sequence}: {text}"
        )
    }
}

/// The result of a validation.
#[derive(Debug, Default)]
pub struct Report {
    pub violations: Vec<Violation>,
    /// Digests that were recomputed and compared.
    pub digests: usize,
    /// Lists that were compared with replicas.
    pub lists: usize,
}

impl Report {
    fn add(
        &mut self,
        invariant: u8,
        promise: &'static str,
        watcher: &str,
        sequence: i64,
        text: String,
    ) {
        self.violations.push(Violation {
            invariant,
            promise,
            watcher: watcher.to_owned(),
            sequence,
            text,
        });
    }

    /// Fails the test that recorded the history, with the first violations.
    pub fn assert_kept(&self) {
        let first: Vec<_> = self
            .violations
            .iter()
            .take(20)
            .map(ToString::to_string)
            .collect();
        assert!(
            self.violations.is_empty(),
            "{} violations:\n{}",
            self.violations.len(),
            first.join("\n")
        );
    }
}

/// Checks a history.
pub fn validate(events: &[Event]) -> Report {
    let mut report = Report::default();
    let watchers = watchers(events);
    let desk = Oracle::from_watchers(View::Desk, &watchers, &mut report);
    let wire = Oracle::from_watchers(View::Published, &watchers, &mut report);
    oracle::compare_views(&desk, &wire, &mut report);
    writers::check(events, &desk, &wire, &mut report);
    let known = KnownHeads::from_events(events);
    let mut snapshots = Snapshots::default();
    let mut reached = HashMap::new();
    for watcher in &watchers {
        let oracle = if watcher.view == View::Desk {
            &desk
        } else {
            &wire
        };
        let reader = Reader::new(watcher, oracle, &mut report);
        reached.insert(watcher.name.clone(), reader.read(&known, &mut snapshots));
    }
    for event in events {
        check_event(
            event,
            events,
            &watchers,
            &reached,
            &mut snapshots,
            &mut report,
        );
    }
    for oracle in [&desk, &wire] {
        report.digests += snapshots.check(oracle, &mut report);
    }
    check_ends(events, [&desk, &wire], &mut report);
    check_silence(events, &watchers, &mut report);
    report
}

fn check_event(
    event: &Event,
    events: &[Event],
    watchers: &[Watcher],
    reached: &HashMap<String, i64>,
    snapshots: &mut Snapshots,
    report: &mut Report,
) {
    match event {
        Event::Probed {
            what,
            expected,
            answer,
            ..
        } if expected != answer => {
            let invariant = if expected == "CURSOR_EXPIRED" { 13 } else { 14 };
            let text = format!("{what} is answered with {answer:?}, not {expected}");
            report.add(invariant, "F6", "a probe", 0, text);
        }
        Event::Stood { view, feed, .. } => {
            if let (Ok(view), Some(digest)) = (View::try_from(*view), &feed.0.digest) {
                snapshots.add_reported(view, "GetFeed", feed.0.head_sequence, digest.clone());
            }
        }
        Event::Listed {
            view,
            filter,
            records,
            ..
        } => {
            let same = watchers
                .iter()
                .filter(|watcher| watcher.view as i32 == *view && watcher.filter == filter.0);
            for watcher in same {
                compare_list(watcher, &filter.0, records, report);
                compare_digest(watcher, events, report);
            }
        }
        Event::End {
            desk_head,
            wire_head,
            ..
        } => {
            for watcher in watchers {
                let head = if watcher.view == View::Desk {
                    desk_head
                } else {
                    wire_head
                };
                let reached = reached[&watcher.name];
                if reached < *head {
                    let text = format!("it never got from {reached} to {head}");
                    report.add(17, "F2", &watcher.name, reached, text);
                }
            }
        }
        _ => {}
    }
}

/// The replica of a watcher that started with everything, and the names of the records erased since.
fn copy_of(watcher: &Watcher) -> Option<(digest::FoldedState, HashSet<&str>)> {
    let mut copy = digest::FoldedState::default();
    let mut erased = HashSet::new();
    for connection in &watcher.connections {
        match connection.start {
            Start::Now => return None,
            Start::Beginning | Start::Snapshot => copy = digest::FoldedState::default(),
            Start::Cursor(_) => {}
        }
        for (_, response) in &connection.responses {
            for record in &response.records {
                copy.insert(record, &watcher.filter);
            }
            for change in &response.changes {
                if change.r#type() == Type::Purged {
                    erased.insert(change.name.as_str());
                }
                copy.apply(change, &watcher.filter);
            }
        }
    }
    Some((copy, erased))
}

/// Compares the replica of a watcher that has everything with a list under the same filter.
fn compare_list(
    watcher: &Watcher,
    filter: &RecordFilter,
    records: &[HexMessage<Record>],
    report: &mut Report,
) {
    let Some((copy, erased)) = copy_of(watcher) else {
        return;
    };
    report.lists += 1;
    let listed = records
        .iter()
        .map(|record| (history::name(&record.0), &record.0));
    let mut listed: HashMap<_, _> = listed.collect();
    for (name, record) in &copy.records {
        let there = listed.remove(name.as_str());
        if there != Some(record) && !erased.contains(name.as_str()) {
            let text = format!("{name} in its copy is not as listed under {filter:?}");
            report.add(19, "F7", &watcher.name, 0, text);
        }
    }
    for name in listed.keys().filter(|name| !erased.contains(**name)) {
        report.add(19, "F7", &watcher.name, 0, format!("its copy lacks {name}"));
    }
}

/// Compares the digest of a watcher that filters by kind at most with the feed's own at the end.
fn compare_digest(watcher: &Watcher, events: &[Event], report: &mut Report) {
    let by_kind = RecordFilter {
        kinds: watcher.filter.kinds.clone(),
        ..RecordFilter::default()
    };
    let told = events.iter().rev().find_map(|event| match event {
        Event::Stood { view, feed, .. } if *view == watcher.view as i32 => feed.0.digest.as_ref(),
        _ => None,
    });
    let (Some((copy, _)), Some(told)) =
        (copy_of(watcher).filter(|_| watcher.filter == by_kind), told)
    else {
        return;
    };
    let Some(counted) = copy.count() else { return };
    let wanted = |kind: i32| by_kind.kinds.is_empty() || by_kind.kinds.contains(&kind);
    let told: Vec<_> = told.kinds.iter().filter(|kind| wanted(kind.kind)).collect();
    report.digests += 1;
    if counted.kinds.iter().collect::<Vec<_>>() != told {
        let text = format!(
            "its copy comes to {:?}, and GetFeed says {told:?}",
            counted.kinds
        );
        report.add(10, "F11", &watcher.name, 0, text);
    }
}

fn check_ends(events: &[Event], truths: [&Oracle; 2], report: &mut Report) {
    let heads = events.iter().find_map(|event| match event {
        Event::End {
            desk_head,
            wire_head,
            ..
        } => Some([*desk_head, *wire_head]),
        _ => None,
    });
    let Some(heads) = heads else {
        report.add(
            17,
            "F2",
            "the campaign",
            0,
            "it never came to an end".to_owned(),
        );
        return;
    };
    for (oracle, head) in truths.into_iter().zip(heads) {
        let seen = oracle.head();
        if seen > head {
            report.add(
                15,
                "F1",
                "everybody",
                seen,
                format!("was seen, and the head is {head}"),
            );
        }
        if seen < head {
            report.add(
                1,
                "F1",
                "everybody",
                head,
                format!("the head, and nobody saw more than {seen}"),
            );
        }
    }
}

/// F8: an open stream gets a message in time, except during faults.
fn check_silence(events: &[Event], watchers: &[Watcher], report: &mut Report) {
    let Some(interval) = events.iter().find_map(|event| match event {
        Event::Begin { checkpoint_ms, .. } => Some(checkpoint_ms * 1000),
        _ => None,
    }) else {
        return;
    };
    let faults: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Fault { at, until, .. } => Some((*at, *until)),
            _ => None,
        })
        .collect();
    // Machines that run tests may be slow.
    let longest = interval + 10_000_000;
    for watcher in watchers {
        for connection in &watcher.connections {
            let mut last = connection.opened_at;
            for (at, _) in &connection.responses {
                let disturbed = faults
                    .iter()
                    .any(|(begun, until)| *begun < *at && *until > last);
                if at - last > longest && !disturbed {
                    let text = format!(
                        "{} ms without a word from {}",
                        (at - last) / 1000,
                        connection.server
                    );
                    report.add(11, "F8", &watcher.name, 0, text);
                }
                last = *at;
            }
        }
    }
}

/// Validates again an earlier history, which `DATELINE_HISTORY` names.
#[test]
fn a_recorded_history_keeps_the_promises() {
    let Ok(path) = std::env::var("DATELINE_HISTORY") else {
        return;
    };
    let report = validate(&history::load(std::path::Path::new(&path)));
    println!(
        "{} digests and {} lists compared",
        report.digests, report.lists
    );
    for violation in &report.violations {
        println!("{violation}");
    }
    report.assert_kept();
}
