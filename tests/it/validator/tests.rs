//! The validator accepts a good history, and detects each kind of violation.

use dateline_proto::v1::{
    Actor, Change, Correction, RecordFilter, State, View, WatchResponse, change::Type,
    record::Kind as Body,
};

use super::{
    history::{Answer, Event, Start},
    valid_history::{changes, checkpoint, desk, erased, good, stream, wire, with_an_erasure},
    validate,
};

#[test]
fn a_good_history_passes_and_reads_back_from_its_file() {
    let (_keep, directory) = crate::support::server::temp_dir();
    let file = directory.join("history");
    super::history::save(&good(), &file);
    let events = super::history::load(&file);
    assert_eq!(events, good());
    let report = validate(&events);
    report.assert_kept();
    assert_eq!((report.digests, report.lists), (4, 3));
}

/// Modifies a response of a connection.
fn response(
    events: &mut [Event],
    connection: u64,
    number: usize,
    edit: impl Fn(&mut WatchResponse),
) {
    let mut received = events.iter_mut().filter_map(|event| match event {
        Event::Received {
            connection: at,
            response,
            ..
        } if *at == connection => Some(&mut response.0),
        _ => None,
    });
    edit(received.nth(number).unwrap());
}

fn answer(events: &mut [Event], wanted: u64, edit: impl Fn(&mut Answer)) {
    for event in events {
        if let Event::Answered {
            request, answer, ..
        } = event
            && *request == wanted
        {
            edit(answer);
        }
    }
}

fn edit(change: &mut Change, edit: impl Fn(&mut Actor)) {
    if let Some(Body::Actor(actor)) = &mut change.record.as_mut().unwrap().kind {
        edit(actor);
    }
}

/// The change with a note for readers, and its record with what is left of one.
fn note(change: &mut Change, note: &str, in_record: &str) {
    note.clone_into(&mut change.note);
    let revision = change.revision;
    edit(change, |actor| {
        actor.meta.as_mut().unwrap().corrections.push(Correction {
            revision,
            note: in_record.to_owned(),
            ..Correction::default()
        });
    });
}

/// A withdrawal with a note, of which another watcher sees what an erasure would leave.
fn lose_a_note(events: &mut Vec<Event>) {
    response(events, 3, 1, |got| note(&mut got.changes[1], "why", "why"));
    let mut lost = wire();
    note(&mut lost[3], "", "erased");
    also_seen(events, vec![checkpoint(0, 4), changes(&lost)]);
}

/// One more watcher of the wire, from its beginning.
fn also_seen(events: &mut Vec<Event>, responses: Vec<WatchResponse>) {
    let all = RecordFilter::default();
    let watcher = ("other", View::Published, &all);
    stream(events, 9, watcher, Start::Beginning, responses);
}

type Break = (u8, &'static str, &'static str, fn(&mut Vec<Event>));

/// Ways to break the history: the invariant, the promise, a description, and the modification.
const BROKEN: &[Break] = &[
    (1, "F1", "a number that nobody saw", |events| {
        response(events, 1, 2, |got| drop(got.changes.remove(0)));
    }),
    (2, "F2", "one stream lacks a change", |events| {
        let _: () = response(events, 3, 1, |got| drop(got.changes.remove(0)));
        ().then_other(events);
    }),
    (2, "F2", "acknowledged and seen by nobody", |events| {
        answer(events, 4, |told| {
            if let Answer::Acknowledged { records, .. } = told {
                records[0].revision = 5;
            }
        });
    }),
    (2, "F1", "acknowledged under another number", |events| {
        answer(events, 3, |told| {
            if let Answer::Acknowledged { batch, .. } = told {
                *batch = 7;
            }
        });
    }),
    (3, "W2", "refused, and there all the same", |events| {
        answer(events, 4, |told| *told = Answer::Refused("no".into()));
    }),
    (
        3,
        "F10",
        "the wire has what is only on the desk",
        |events| {
            response(events, 3, 1, |got| {
                got.changes[0].r#type = Type::Updated.into();
                got.changes[0].revision = 7;
            });
        },
    ),
    (3, "F10", "readers see a draft's content", |events| {
        response(events, 3, 1, |got| {
            edit(&mut got.changes[0], |actor| {
                actor.meta.as_mut().unwrap().state = State::Draft.into();
            });
        });
    }),
    (3, "F10", "a tombstone has content on the wire", |events| {
        response(events, 3, 1, |got| {
            edit(&mut got.changes[1], |actor| {
                actor.display_name = "withdrawn".into();
            });
        });
    }),
    (4, "F2", "twice on one stream", |events| {
        response(events, 1, 2, |got| got.changes.push(desk()[4].clone()));
    }),
    (4, "F2", "two exchanged", |events| {
        response(events, 1, 2, |got| got.changes.reverse());
    }),
    (5, "F1", "a number from before everything", |events| {
        response(events, 1, 2, |got| got.changes[1].sequence = 0);
    }),
    (
        5,
        "F1",
        "the wire in another order than the desk",
        |events| {
            response(events, 1, 2, |got| {
                let names: Vec<_> = got
                    .changes
                    .iter()
                    .map(|change| (change.revision, change.r#type, change.record.clone()))
                    .collect();
                for (change, (revision, kind, record)) in
                    got.changes.iter_mut().zip(names.into_iter().rev())
                {
                    (change.revision, change.r#type, change.record) = (revision, kind, record);
                }
            });
        },
    ),
    (6, "F3", "a checkpoint inside of a batch", |events| {
        response(events, 5, 0, |got| {
            got.checkpoint.as_mut().unwrap().sequence = 1;
        });
    }),
    (6, "F3", "the mark of a batch on another change", |events| {
        response(events, 1, 1, |got| got.changes[2].last_in_batch = true);
    }),
    (
        6,
        "F3",
        "no mark at the end of what a filter lets through",
        |events| response(events, 4, 1, |got| got.changes[0].last_in_batch = false),
    ),
    (6, "F3", "a batch that has no end", |events| {
        response(events, 1, 2, |got| got.changes[0].batch = 7);
    }),
    (6, "F3", "a part of a batch with others", |events| {
        response(events, 1, 1, |got| got.changes.truncate(3));
        response(events, 1, 2, |got| got.changes.insert(0, desk()[3].clone()));
    }),
    (7, "F1", "a revision is missing", |events| {
        response(events, 1, 2, |got| got.changes[1].revision = 5);
    }),
    (7, "W3", "one revision for two requests", |events| {
        answer(events, 4, |told| {
            if let Answer::Acknowledged { records, .. } = told {
                records[0].revision = 3;
            }
        });
    }),
    (8, "F1", "a relation before its subject", |events| {
        response(events, 1, 2, |got| {
            got.changes[0].record.as_mut().unwrap().kind =
                Some(Body::Relation(dateline_proto::v1::Relation {
                    subject: "actors/b".into(),
                    object: "actors/never".into(),
                    ..Default::default()
                }));
        });
    }),
    (9, "F1", "answered first, numbered later", |events| {
        events.iter_mut().for_each(|event| match event {
            Event::Asked { at, request: 3, .. } => *at = 90,
            Event::Answered { at, request: 3, .. } => *at = 95,
            _ => {}
        });
    }),
    (10, "F1", "two watchers differ", |events| {
        let _: () = response(events, 3, 1, |got| {
            got.changes[0].note = "other".into();
        });
        ().then_other(events);
    }),
    (
        10,
        "F1",
        "a note that is lost without an erasure",
        |events| {
            lose_a_note(events);
        },
    ),
    (
        10,
        "F1",
        "a note that is lost, and what was erased is of another batch",
        |events| {
            *events = with_an_erasure();
            lose_a_note(events);
        },
    ),
    (10, "F11", "a wrong digest in a checkpoint", |events| {
        response(events, 6, 1, |got| {
            got.checkpoint
                .as_mut()
                .unwrap()
                .digest
                .as_mut()
                .unwrap()
                .digest[3] ^= 1;
        });
    }),
    (10, "F11", "a wrong digest of the feed", |events| {
        events.iter_mut().for_each(|event| {
            if let Event::Stood { feed, .. } = event {
                feed.0.digest.as_mut().unwrap().kinds[0].records = 3;
            }
        });
    }),
    (11, "F8", "a checkpoint that goes back", |events| {
        response(events, 1, 3, |got| {
            got.checkpoint.as_mut().unwrap().sequence = 5;
        });
    }),
    (19, "F2", "a checkpoint ahead of what was sent", |events| {
        response(events, 4, 0, |got| {
            got.checkpoint.as_mut().unwrap().sequence = 2;
        });
    }),
    (
        11,
        "F8",
        "a stream that does not begin with one",
        |events| response(events, 1, 0, |got| got.checkpoint = None),
    ),
    (11, "F12", "a shutdown without one", |events| {
        events.iter_mut().for_each(|event| {
            if let Event::Ended {
                connection: 2,
                reason,
                ..
            } = event
            {
                *reason = "SHUTTING_DOWN".into();
            }
        });
    }),
    (11, "F8", "a stream that falls silent", |events| {
        let mut last = 0;
        for event in events.iter_mut() {
            if let Event::Received {
                connection: 1, at, ..
            } = event
            {
                last += 20_000_000;
                *at = last;
            }
        }
    }),
    (12, "F4", "again after a resume", |events| {
        let _: () = response(events, 3, 1, |got| got.changes.insert(0, wire()[1].clone()));
        ().unless_first(events);
    }),
    (12, "F8", "a resume that begins earlier", |events| {
        response(events, 3, 0, |got| {
            got.checkpoint.as_mut().unwrap().sequence = 1;
        });
    }),
    (2, "F2", "a resume that begins later", |events| {
        response(events, 3, 0, |got| {
            got.checkpoint.as_mut().unwrap().sequence = 3;
        });
    }),
    (12, "F5", "a snapshot with a tombstone", |events| {
        response(events, 6, 0, |got| {
            got.records.insert(0, wire()[3].record.clone().unwrap());
        });
    }),
    (12, "F5", "a snapshot without a record", |events| {
        response(events, 6, 0, |got| got.records.clear());
    }),
    (12, "F5", "a snapshot as of another time", |events| {
        response(events, 6, 0, |got| got.snapshot_sequence = 3);
    }),
    (11, "F5", "caught up without a snapshot", |events| {
        response(events, 1, 3, |got| {
            got.checkpoint.as_mut().unwrap().caught_up = true;
        });
    }),
    (13, "F6", "an expired cursor that is served", |events| {
        events.iter_mut().for_each(|event| {
            if let Event::Probed {
                expected, answer, ..
            } = event
            {
                *expected = "CURSOR_EXPIRED".into();
                answer.clear();
            }
        });
    }),
    (14, "F6", "a foreign cursor that is served", |events| {
        events.iter_mut().for_each(|event| {
            if let Event::Probed { answer, .. } = event {
                answer.clear();
            }
        });
    }),
    (15, "F1", "seen, and gone in the end", |events| {
        events.iter_mut().for_each(|event| {
            if let Event::End { desk_head, .. } = event {
                *desk_head = 5;
            }
        });
    }),
    (17, "F2", "a watcher that never gets there", |events| {
        let last = events
            .iter()
            .rposition(|event| matches!(event, Event::Received { connection: 3, .. }))
            .unwrap();
        events.drain(last - 1..=last);
    }),
    (19, "F7", "no word of what left", |events| {
        response(events, 5, 1, |got| got.changes.clear());
    }),
    (19, "F7", "what left comes with content", |events| {
        response(events, 5, 1, |got| {
            got.changes[0].record = wire()[2].record.clone();
        });
    }),
    (19, "F7", "what does not match comes whole", |events| {
        response(events, 5, 1, |got| got.changes[0] = wire()[2].clone());
    }),
    (19, "F7", "a list that differs from the copy", |events| {
        events.iter_mut().for_each(|event| {
            if let Event::Listed { records, .. } = event {
                records.clear();
            }
        });
    }),
    (
        20,
        "F1",
        "a record that its change does not name",
        |events| {
            response(events, 3, 1, |got| {
                edit(&mut got.changes[0], |actor| {
                    actor.name = "actors/other".into();
                });
            });
        },
    ),
    (20, "F7", "a withdrawal without its record", |events| {
        response(events, 3, 1, |got| got.changes[1].record = None);
    }),
];

/// Combines two steps in one row of the table.
trait Steps {
    fn then_other(self, events: &mut Vec<Event>);
    fn unless_first(self, events: &mut Vec<Event>);
}

impl Steps for () {
    /// Adds another watcher, who receives the wire feed unmodified.
    fn then_other(self, events: &mut Vec<Event>) {
        also_seen(events, vec![checkpoint(0, 4), changes(&wire())]);
    }

    /// Removes the first response of the resumed stream, so that it begins with what it repeats.
    fn unless_first(self, events: &mut Vec<Event>) {
        let first = events
            .iter()
            .position(|event| matches!(event, Event::Received { connection: 3, .. }));
        events.remove(first.unwrap());
    }
}

#[test]
fn a_note_may_go_with_a_record_that_is_erased_and_changed_in_the_same_batch() {
    validate(&with_an_erasure()).assert_kept();
    let mut events = with_an_erasure();
    // Its batch is that of the other record's publication.
    response(&mut events, 2, 1, |got| {
        note(&mut got.changes[0], "why", "why");
    });
    response(&mut events, 4, 1, |got| {
        note(&mut got.changes[0], "", "erased");
    });
    let mut lost = wire();
    note(&mut lost[0], "", "erased");
    let responses = [checkpoint(0, 4), changes(&lost), changes(&[erased(5)])];
    also_seen(&mut events, responses.into());
    validate(&events).assert_kept();
}

#[test]
fn every_broken_history_is_noticed_for_what_is_wrong_with_it() {
    let mut unnoticed = Vec::new();
    for (invariant, promise, words, breaks) in BROKEN {
        let mut events = good();
        breaks(&mut events);
        let found = validate(&events).violations;
        let noticed = found
            .iter()
            .any(|one| (one.invariant, one.promise) == (*invariant, *promise));
        if !noticed {
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            let found = found.join("\n    ");
            unnoticed.push(format!(
                "{words}: not {promise}, invariant {invariant}\n    {found}"
            ));
        }
    }
    assert!(unnoticed.is_empty(), "{}", unnoticed.join("\n"));
}
