//! The recorded events of a run: requests and answers of writers, messages on every connection of every watcher, and
//! faults of the servers. One event per line as JSON, so that a run can be validated again; messages of the schema are
//! stored as encoded bytes.

use std::{
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use dateline_proto::v1::{
    Change, GetFeedResponse, Record, RecordFilter, View, WatchResponse, record::Kind as Body,
};
use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A message of the schema in a recorded event.
#[derive(Debug, Clone, PartialEq)]
pub struct HexMessage<M>(pub M);

impl<M: Message> Serialize for HexMessage<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0.encode_to_vec()))
    }
}

impl<'de, M: Message + Default> Deserialize<'de> for HexMessage<M> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        M::decode(bytes.as_slice())
            .map(HexMessage)
            .map_err(D::Error::custom)
    }
}

/// A revision that was acknowledged to a writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckedRevision {
    pub name: String,
    pub revision: i64,
    /// Sequence in the desk feed.
    pub sequence: i64,
}

/// The outcome of a request, as its writer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Committed: its revisions, its last desk sequence, and its last wire sequence or 0.
    Acknowledged {
        records: Vec<AckedRevision>,
        batch: i64,
        wire_batch: i64,
    },
    /// Refused for good, with the reason.
    Refused(String),
    /// The writer did not wait for an answer.
    Unknown,
}

/// The requested start of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    Beginning,
    Now,
    Snapshot,
    Cursor(String),
}

/// One line of a history. `at` is in microseconds since the run began, on one clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Begin {
        seed: u64,
        checkpoint_ms: u64,
    },
    /// `names` are the records that the request would change or create.
    Asked {
        at: u64,
        request: u64,
        names: Vec<String>,
    },
    Answered {
        at: u64,
        request: u64,
        answer: Answer,
    },
    Opened {
        at: u64,
        connection: u64,
        watcher: String,
        server: String,
        view: i32,
        filter: HexMessage<RecordFilter>,
        start: Start,
    },
    Received {
        at: u64,
        connection: u64,
        response: HexMessage<WatchResponse>,
    },
    /// Ended by the server with a reason, or by the watcher without one.
    Ended {
        at: u64,
        connection: u64,
        reason: String,
    },
    /// A stream that must be refused, for example with a cursor of another feed. `answer` is the error's reason, or
    /// empty.
    Probed {
        at: u64,
        what: String,
        expected: String,
        answer: String,
    },
    Stood {
        at: u64,
        view: i32,
        feed: HexMessage<GetFeedResponse>,
    },
    /// A list at rest, after the last write.
    Listed {
        at: u64,
        view: i32,
        filter: HexMessage<RecordFilter>,
        records: Vec<HexMessage<Record>>,
    },
    Fault {
        at: u64,
        until: u64,
        what: String,
    },
    /// Nothing is in flight any more, and everybody had the time to read it.
    End {
        at: u64,
        desk_head: i64,
        wire_head: i64,
    },
}

/// Writes a history to a file.
pub fn save(events: &[Event], path: &Path) {
    let mut file = BufWriter::new(std::fs::File::create(path).unwrap());
    for event in events {
        serde_json::to_writer(&mut file, event).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}

/// Reads a history from a file.
pub fn load(path: &Path) -> Vec<Event> {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    file.lines()
        .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
        .collect()
}

/// One stream of a watcher, from its opening to its end.
#[derive(Debug, Clone)]
pub struct Connection {
    pub opened_at: u64,
    pub server: String,
    pub start: Start,
    pub responses: Vec<(u64, WatchResponse)>,
    pub reason: String,
}

/// A consumer that follows a feed over many connections.
#[derive(Debug, Clone)]
pub struct Watcher {
    pub name: String,
    pub view: View,
    pub filter: RecordFilter,
    pub connections: Vec<Connection>,
}

impl Watcher {
    pub fn is_unfiltered(&self) -> bool {
        self.filter == RecordFilter::default()
    }

    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.connections
            .iter()
            .flat_map(|connection| &connection.responses)
            .flat_map(|(_, response)| &response.changes)
    }
}

/// The watchers of a history, in the order of their first connections.
pub fn watchers(events: &[Event]) -> Vec<Watcher> {
    let mut watchers: Vec<Watcher> = Vec::new();
    let mut by_name = std::collections::HashMap::new();
    let mut places = std::collections::HashMap::new();
    for event in events {
        match event {
            Event::Opened {
                at,
                connection,
                watcher,
                server,
                view,
                filter,
                start,
            } => {
                let number = *by_name.entry(watcher.clone()).or_insert_with(|| {
                    watchers.push(Watcher {
                        name: watcher.clone(),
                        view: View::try_from(*view).unwrap(),
                        filter: filter.0.clone(),
                        connections: Vec::new(),
                    });
                    watchers.len() - 1
                });
                let connections = &mut watchers[number].connections;
                places.insert(*connection, (number, connections.len()));
                connections.push(Connection {
                    opened_at: *at,
                    server: server.clone(),
                    start: start.clone(),
                    responses: Vec::new(),
                    reason: String::new(),
                });
            }
            Event::Received {
                at,
                connection,
                response,
            } => {
                let (watcher, place) = places[connection];
                let connection = &mut watchers[watcher].connections[place];
                connection.responses.push((*at, response.0.clone()));
            }
            Event::Ended {
                connection, reason, ..
            } => {
                let (watcher, place) = places[connection];
                watchers[watcher].connections[place].reason = reason.clone();
            }
            _ => {}
        }
    }
    watchers
}

/// The name of a record.
pub fn name(record: &Record) -> &str {
    match &record.kind {
        Some(Body::Article(body)) => &body.name,
        Some(Body::Actor(body)) => &body.name,
        Some(Body::Relation(body)) => &body.name,
        Some(Body::Event(body)) => &body.name,
        None => "",
    }
}

/// The service's metadata of a record.
pub fn meta(record: &Record) -> Option<&dateline_proto::v1::RecordMeta> {
    match &record.kind {
        Some(Body::Article(body)) => body.meta.as_ref(),
        Some(Body::Actor(body)) => body.meta.as_ref(),
        Some(Body::Relation(body)) => body.meta.as_ref(),
        Some(Body::Event(body)) => body.meta.as_ref(),
        None => None,
    }
}

/// The record's message without meta, encoded.
pub fn content(record: &Record) -> Vec<u8> {
    match record.kind.clone() {
        Some(Body::Article(mut body)) => {
            body.meta = None;
            body.encode_to_vec()
        }
        Some(Body::Actor(mut body)) => {
            body.meta = None;
            body.encode_to_vec()
        }
        Some(Body::Relation(mut body)) => {
            body.meta = None;
            body.encode_to_vec()
        }
        Some(Body::Event(mut body)) => {
            body.meta = None;
            body.encode_to_vec()
        }
        None => Vec::new(),
    }
}

/// True if only the name is left of a record.
pub fn is_name_only(record: &Record) -> bool {
    let name = name(record);
    // One text field: its tag, its length, its bytes.
    content(record).len() <= 2 + name.len()
}
