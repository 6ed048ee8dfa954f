//! The answers to writers against the feed: nothing acknowledged is missing, nothing refused exists, and a request that
//! was answered before another one was sent precedes it.

use std::collections::{HashMap, HashSet};

use dateline_proto::v1::{Change, record::Kind as Body};

use super::{
    Report,
    history::{AckedRevision, Answer, Event},
    oracle::{Oracle, describe},
};

struct Request<'a> {
    asked_at: u64,
    names: &'a [String],
    answered: Option<(u64, &'a Answer)>,
}

/// Runs all checks.
pub fn check(events: &[Event], desk: &Oracle, wire: &Oracle, report: &mut Report) {
    let requests = requests(events);
    check_acknowledged(&requests, desk, wire, report);
    check_real_time(&requests, report);
    check_causes(desk, report);
}

/// The newest sequences known to anybody at a given time: desk, then wire.
pub struct KnownHeads {
    told: Vec<(u64, i64, i64)>,
}

impl KnownHeads {
    pub fn from_events(events: &[Event]) -> Self {
        let (mut desk, mut wire) = (0, 0);
        let told = events.iter().filter_map(|event| match event {
            Event::Answered {
                at,
                answer:
                    Answer::Acknowledged {
                        batch, wire_batch, ..
                    },
                ..
            } => {
                desk = desk.max(*batch);
                wire = wire.max(*wire_batch);
                Some((*at, desk, wire))
            }
            _ => None,
        });
        Self {
            told: told.collect(),
        }
    }

    pub fn before(&self, at: u64) -> (i64, i64) {
        let end = self.told.partition_point(|(told_at, ..)| *told_at < at);
        match end.checked_sub(1).map(|last| self.told[last]) {
            Some((_, desk, wire)) => (desk, wire),
            None => (0, 0),
        }
    }
}

fn requests(events: &[Event]) -> Vec<Request<'_>> {
    let mut places = HashMap::new();
    let mut requests: Vec<Request<'_>> = Vec::new();
    for event in events {
        match event {
            Event::Asked { at, request, names } => {
                places.insert(*request, requests.len());
                requests.push(Request {
                    asked_at: *at,
                    names,
                    answered: None,
                });
            }
            Event::Answered {
                at,
                request,
                answer,
            } => {
                requests[places[request]].answered = Some((*at, answer));
            }
            _ => {}
        }
    }
    requests
}

fn check_acknowledged(requests: &[Request<'_>], desk: &Oracle, wire: &Oracle, report: &mut Report) {
    let index = |oracle: &Oracle| -> HashMap<(String, i64), (i64, i64)> {
        let changes = oracle.entries.values().map(|entry| &entry.change);
        changes
            .map(|change| {
                let key = (change.name.clone(), change.revision);
                (key, (change.sequence, change.batch))
            })
            .collect()
    };
    let (mut on_desk, on_wire) = (index(desk), index(wire));
    let mut unknown: HashSet<&str> = HashSet::new();
    let mut told_twice: HashSet<(&str, i64)> = HashSet::new();
    for request in requests {
        let Some((
            _,
            Answer::Acknowledged {
                records,
                batch,
                wire_batch,
            },
        )) = request.answered
        else {
            if !matches!(request.answered, Some((_, Answer::Refused(_)))) {
                unknown.extend(request.names.iter().map(String::as_str));
            }
            continue;
        };
        for told in records {
            let key = (told.name.clone(), told.revision);
            if !told_twice.insert((&told.name, told.revision)) {
                let text = format!("{told:?} was acknowledged to two requests");
                report.add(7, "W3", "a writer", told.sequence, text);
                continue;
            }
            check_place(told, *batch, on_desk.remove(&key), report);
            let seen = on_wire.get(&key).map(|(_, batch)| *batch);
            if *wire_batch > 0 && seen.is_some_and(|seen| seen != *wire_batch) {
                let text = format!("{told:?} was said to be in wire batch {wire_batch}: {seen:?}");
                report.add(2, "F1", "a writer", *wire_batch, text);
            }
        }
    }
    for ((name, revision), (sequence, _)) in on_desk {
        if !unknown.contains(name.as_str()) {
            let text = format!("{name} revision {revision} was acknowledged to nobody");
            report.add(3, "W2", "the desk", sequence, text);
        }
    }
}

fn check_place(told: &AckedRevision, batch: i64, seen: Option<(i64, i64)>, report: &mut Report) {
    match seen {
        None => {
            let text = format!("{told:?} was acknowledged and nobody saw it");
            report.add(2, "F2", "a writer", told.sequence, text);
        }
        Some(seen) if seen != (told.sequence, batch) => {
            let text = format!("{told:?} of batch {batch} is at {seen:?}");
            report.add(2, "F1", "a writer", told.sequence, text);
        }
        Some(_) => {}
    }
}

/// A request answered before another one was sent has lower sequences.
fn check_real_time(requests: &[Request<'_>], report: &mut Report) {
    let acknowledged = requests
        .iter()
        .filter_map(|request| match request.answered {
            Some((at, Answer::Acknowledged { batch, .. })) => Some((at, *batch, request.asked_at)),
            _ => None,
        });
    let mut by_answer: Vec<_> = acknowledged.collect();
    let mut by_asked = by_answer.clone();
    by_answer.sort_unstable();
    by_asked.sort_unstable_by_key(|(_, _, asked_at)| *asked_at);
    let (mut answered, mut newest) = (by_answer.into_iter().peekable(), 0);
    for (_, batch, asked_at) in by_asked {
        while let Some((_, earlier, _)) = answered.next_if(|(at, ..)| *at < asked_at) {
            newest = newest.max(earlier);
        }
        if batch <= newest {
            let text = format!("{newest} had been answered before this was asked for");
            report.add(9, "F1", "a writer", batch, text);
        }
    }
}

/// Referenced records were written before a record or with it.
fn check_causes(desk: &Oracle, report: &mut Report) {
    let mut written: HashMap<&str, i64> = HashMap::new();
    for entry in desk.entries.values() {
        let change = &entry.change;
        written.entry(&change.name).or_insert(change.batch);
    }
    for entry in desk.entries.values() {
        let change = &entry.change;
        for target in references(change) {
            if written
                .get(target)
                .is_none_or(|batch| *batch > change.batch)
            {
                let text = format!("{} names {target}, which comes later", describe(change));
                report.add(8, "F1", "the desk", change.sequence, text);
            }
        }
    }
}

fn references(change: &Change) -> Vec<&str> {
    match change
        .record
        .as_ref()
        .and_then(|record| record.kind.as_ref())
    {
        Some(Body::Relation(relation)) => vec![&relation.subject, &relation.object],
        _ => Vec::new(),
    }
}
