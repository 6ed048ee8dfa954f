//! A small history in which every promise is kept: a batch of two, published, corrected and withdrawn, and its
//! watchers.

use dateline_proto::v1::{
    Actor, Change, Checkpoint, GetFeedResponse, Kind, Record, RecordFilter, RecordMeta, State,
    View, WatchResponse, change::Type, record::Kind as Body,
};

use super::{
    digest::FoldedState,
    history::{AckedRevision, Answer, Event, HexMessage, Start},
};

pub fn record(id: &str, region: &str, state: State, revision: i64, sequence: i64) -> Record {
    Body::Actor(Actor {
        name: format!("actors/{id}"),
        region_code: region.to_owned(),
        meta: Some(RecordMeta {
            state: state.into(),
            revision,
            sequence,
            ..RecordMeta::default()
        }),
        ..Actor::default()
    })
    .into()
}

pub fn change(kind: Type, sequence: i64, batch: i64, record: Record) -> Change {
    let meta = super::history::meta(&record).unwrap();
    Change {
        r#type: kind.into(),
        name: super::history::name(&record).to_owned(),
        kind: Kind::Actor.into(),
        revision: meta.revision,
        sequence,
        batch,
        last_in_batch: sequence == batch,
        record: Some(record),
        ..Change::default()
    }
}

/// Two records created as a batch and published; one changes its region, and is withdrawn.
pub fn desk() -> Vec<Change> {
    use State::{Draft, Published, Retracted};
    vec![
        change(Type::Created, 1, 2, record("a", "KZ", Draft, 1, 1)),
        change(Type::Created, 2, 2, record("b", "DE", Draft, 1, 2)),
        change(Type::Published, 3, 4, record("a", "KZ", Published, 2, 3)),
        change(Type::Published, 4, 4, record("b", "DE", Published, 2, 4)),
        change(Type::Corrected, 5, 5, record("a", "DE", Published, 3, 5)),
        change(Type::Retracted, 6, 6, record("a", "DE", Retracted, 4, 6)),
    ]
}

pub fn wire() -> Vec<Change> {
    use State::{Published, Retracted};
    vec![
        change(Type::Published, 1, 2, record("a", "KZ", Published, 2, 1)),
        change(Type::Published, 2, 2, record("b", "DE", Published, 2, 2)),
        change(Type::Corrected, 3, 3, record("a", "DE", Published, 3, 3)),
        change(Type::Retracted, 4, 4, record("a", "", Retracted, 4, 4)),
    ]
}

pub fn in_kazakhstan() -> RecordFilter {
    RecordFilter {
        regions: vec!["KZ".into()],
        ..RecordFilter::default()
    }
}

/// The changes of a stream that filters for Kazakhstan.
pub fn filtered() -> Vec<Change> {
    let first = Change {
        last_in_batch: true,
        ..wire()[0].clone()
    };
    let left = Change {
        r#type: Type::Left.into(),
        record: None,
        ..wire()[2].clone()
    };
    vec![first, left]
}

pub fn cursor(connection: u64, number: usize) -> String {
    format!("{connection}/{number}")
}

pub fn checkpoint(sequence: i64, head_sequence: i64) -> WatchResponse {
    WatchResponse {
        checkpoint: Some(Checkpoint {
            sequence,
            head_sequence,
            ..Checkpoint::default()
        }),
        ..WatchResponse::default()
    }
}

pub fn changes(changes: &[Change]) -> WatchResponse {
    WatchResponse {
        changes: changes.to_vec(),
        ..WatchResponse::default()
    }
}

pub fn stream(
    events: &mut Vec<Event>,
    connection: u64,
    (watcher, view, filter): (&str, View, &RecordFilter),
    start: Start,
    responses: Vec<WatchResponse>,
) {
    let at = 100 + connection * 10;
    events.push(Event::Opened {
        at,
        connection,
        watcher: watcher.to_owned(),
        server: "one".to_owned(),
        view: view.into(),
        filter: HexMessage(filter.clone()),
        start,
    });
    for (number, mut response) in responses.into_iter().enumerate() {
        response.cursor = cursor(connection, number);
        events.push(Event::Received {
            at: at + 1,
            connection,
            response: HexMessage(response),
        });
    }
    events.push(Event::Ended {
        at: at + 2,
        connection,
        reason: String::new(),
    });
}

pub fn asked(events: &mut Vec<Event>, request: u64, changes: &[Change], wire_batch: i64) {
    let names = changes.iter().map(|change| change.name.clone());
    let records = changes.iter().map(|change| AckedRevision {
        name: change.name.clone(),
        revision: change.revision,
        sequence: change.sequence,
    });
    events.push(Event::Asked {
        at: request * 10,
        request,
        names: names.collect(),
    });
    events.push(Event::Answered {
        at: request * 10 + 5,
        request,
        answer: Answer::Acknowledged {
            records: records.collect(),
            batch: changes[changes.len() - 1].batch,
            wire_batch,
        },
    });
}

/// Connections: 1 follows the desk feed, 2 and 3 the wire feed with a resume, 4 and 5 Kazakhstan with a resume, 6
/// begins with a snapshot, 7 now, 8 with a snapshot of the desk.
pub fn good() -> Vec<Event> {
    let (desk, wire, all) = (desk(), wire(), RecordFilter::default());
    let mut events = vec![Event::Begin {
        seed: 0,
        checkpoint_ms: 1000,
    }];
    asked(&mut events, 1, &desk[..2], 0);
    asked(&mut events, 2, &desk[2..4], 2);
    asked(&mut events, 3, &desk[4..5], 3);
    asked(&mut events, 4, &desk[5..], 4);
    let whole = vec![
        checkpoint(0, 6),
        changes(&desk[..4]),
        changes(&desk[4..]),
        checkpoint(6, 6),
    ];
    stream(
        &mut events,
        1,
        ("desk", View::Desk, &all),
        Start::Beginning,
        whole,
    );
    let reader = ("wire", View::Published, &all);
    let begun = vec![checkpoint(0, 4), changes(&wire[..1]), changes(&wire[1..2])];
    stream(&mut events, 2, reader, Start::Beginning, begun);
    let resumed = vec![checkpoint(2, 4), changes(&wire[2..]), checkpoint(4, 4)];
    stream(&mut events, 3, reader, Start::Cursor(cursor(2, 2)), resumed);
    let filter = in_kazakhstan();
    let kazakhstan = ("kazakhstan", View::Published, &filter);
    let begun = vec![checkpoint(0, 4), changes(&filtered()[..1])];
    stream(&mut events, 4, kazakhstan, Start::Beginning, begun);
    let resumed = vec![
        checkpoint(2, 4),
        changes(&filtered()[1..]),
        checkpoint(4, 4),
    ];
    stream(
        &mut events,
        5,
        kazakhstan,
        Start::Cursor(cursor(4, 1)),
        resumed,
    );
    let part = WatchResponse {
        records: vec![wire[1].record.clone().unwrap()],
        snapshot_sequence: 4,
        ..WatchResponse::default()
    };
    let mut caught_up = checkpoint(4, 4);
    let mut copy = FoldedState::with_digest();
    for change in &wire {
        copy.apply(change, &all);
    }
    let told = caught_up.checkpoint.as_mut().unwrap();
    told.caught_up = true;
    told.digest = copy.digest();
    stream(
        &mut events,
        6,
        ("snapshot", View::Published, &all),
        Start::Snapshot,
        vec![part, caught_up],
    );
    stream(
        &mut events,
        7,
        ("now", View::Published, &all),
        Start::Now,
        vec![checkpoint(4, 4)],
    );
    events.push(Event::Probed {
        at: 200,
        what: "a cursor of the desk".to_owned(),
        expected: "CURSOR_FOREIGN".to_owned(),
        answer: "CURSOR_FOREIGN".to_owned(),
    });
    events.push(Event::Stood {
        at: 201,
        view: View::Published.into(),
        feed: HexMessage(GetFeedResponse {
            head_sequence: 4,
            digest: copy.digest(),
            ..GetFeedResponse::default()
        }),
    });
    for (filter, records) in [
        (all, vec![wire[1].record.clone().unwrap()]),
        (filter, Vec::new()),
    ] {
        events.push(Event::Listed {
            at: 202,
            view: View::Published.into(),
            filter: HexMessage(filter),
            records: records.into_iter().map(HexMessage).collect(),
        });
    }
    events.push(Event::End {
        at: 203,
        desk_head: 6,
        wire_head: 4,
    });
    events
}

/// The erasure of the other record.
pub fn erased(sequence: i64) -> Change {
    Change {
        r#type: Type::Purged.into(),
        revision: 3,
        sequence,
        batch: sequence,
        record: None,
        ..desk()[3].clone()
    }
}

/// The good history, in which the other record is erased at the end: everybody hears of it, and nobody shows it any
/// more.
pub fn with_an_erasure() -> Vec<Event> {
    let mut events = good();
    for (connection, sequence) in [(1, 7), (3, 5), (5, 5), (6, 5), (7, 5)] {
        receive(&mut events, connection, changes(&[erased(sequence)]));
    }
    let shows_nothing = FoldedState::with_digest().digest();
    for event in &mut events {
        match event {
            Event::Stood { feed, .. } => {
                feed.0.head_sequence = 5;
                feed.0.digest.clone_from(&shows_nothing);
            }
            Event::Listed { records, .. } => records.clear(),
            Event::End {
                desk_head,
                wire_head,
                ..
            } => (*desk_head, *wire_head) = (7, 5),
            _ => {}
        }
    }
    // After every connection was opened.
    asked(&mut events, 30, &[erased(7)], 5);
    events
}

/// One response more on a connection that has some.
fn receive(events: &mut Vec<Event>, wanted: u64, mut response: WatchResponse) {
    let is_of = |event: &Event| matches!(event, Event::Received { connection, .. } if *connection == wanted);
    let number = events.iter().filter(|event| is_of(event)).count();
    let last = events.iter().rposition(is_of).unwrap();
    let Event::Received { at, .. } = events[last] else {
        unreachable!()
    };
    response.cursor = cursor(wanted, number);
    let received = Event::Received {
        at,
        connection: wanted,
        response: HexMessage(response),
    };
    events.insert(last + 1, received);
}
