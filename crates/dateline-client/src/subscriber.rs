//! A consumer's end of a feed: events one by one, each with the position to store with its effects. It reconnects,
//! resumes, drops what was handed out before, notices a stream that breaks its promises, and proves its copy when asked.

use std::collections::VecDeque;

use dateline_proto::v1::{
    Change, Checkpoint, Consumer, Origin, Record, RecordFilter, WatchRequest, WatchResponse,
    watch_request::Start,
};
use serde::{Deserialize, Serialize};

use super::{Connection, Failure, Watch, copy::Copy};

/// Where a consumer stands. Stored together with the effects of the event that it came with, it makes that every event
/// has its effects exactly once (F2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// As the server gave it; empty before the first response.
    pub cursor: String,
    /// The last change that was handed out; it may lie after the cursor, in the middle of a response.
    #[serde(default)]
    pub sequence: i64,
    /// In a snapshot, the last record that was handed out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// What a stream brings.
#[derive(Debug, Clone)]
pub enum Event {
    /// A record of the snapshot.
    Record(Box<Record>),
    /// A change.
    Change(Box<Change>),
    /// Nothing up to here; with `caught_up` the snapshot is complete.
    Checkpoint(Checkpoint),
}

/// A stream of events.
#[derive(Debug)]
pub struct Subscriber {
    watch: Watch,
    pending: VecDeque<(Event, Position)>,
    position: Position,
    /// What was handed out before the stream was resumed: what follows its cursor up to there comes again.
    resumed: Option<Position>,
    /// The last change and the last record that came, for noticing a stream that breaks its order.
    newest: (i64, String),
    proof: Option<Proof>,
}

#[derive(Debug)]
struct Proof {
    copy: Copy,
    kinds: Vec<i32>,
}

impl Subscriber {
    /// Opens a stream; with a position it goes on from there, wherever the request would begin.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses the request.
    pub async fn open(
        server: impl Into<Connection>,
        mut request: WatchRequest,
        position: Option<Position>,
    ) -> Result<Self, Failure> {
        let resumed = position.filter(|position| !position.cursor.is_empty());
        if let Some(position) = &resumed {
            request.start = Some(Start::Cursor(position.cursor.clone()));
        }
        Ok(Self {
            watch: Watch::open(server, request).await?,
            pending: VecDeque::new(),
            position: resumed.clone().unwrap_or_default(),
            resumed,
            newest: (0, String::new()),
            proof: None,
        })
    }

    /// The same, and it proves what it hands out by every digest that comes. From the beginning or a snapshot only, and
    /// under no filter but one of kinds: a part of the feed proves nothing.
    ///
    /// # Errors
    /// The same, and when the request leaves out what a proof needs.
    pub async fn open_proved(
        server: impl Into<Connection>,
        request: WatchRequest,
    ) -> Result<Self, Failure> {
        if !is_whole(&request) {
            return Err(Failure::no_proof(
                "a digest proves a copy of everything: begin with a snapshot or the beginning",
            ));
        }
        let kinds = match &request.filter {
            None => Vec::new(),
            Some(filter) => {
                let only_kinds = RecordFilter {
                    kinds: filter.kinds.clone(),
                    ..RecordFilter::default()
                };
                if *filter != only_kinds {
                    return Err(Failure::no_proof(
                        "a digest proves a copy of everything, or of kinds: leave other filters out",
                    ));
                }
                filter.kinds.clone()
            }
        };
        let request = WatchRequest {
            digest: true,
            ..request
        };
        let mut subscriber = Self::open(server, request, None).await?;
        subscriber.proof = Some(Proof {
            copy: Copy::default(),
            kinds,
        });
        Ok(subscriber)
    }

    /// What comes next, waiting for a server as long as it takes, and where the consumer stands once it has dealt with it.
    /// `told` hears why it waits.
    ///
    /// # Errors
    /// When the server refuses to go on (F6), when it breaks its promises, or when the copy is not what the feed shows.
    pub async fn next(
        &mut self,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(Event, Position), Failure> {
        loop {
            if let Some((event, position)) = self.pending.pop_front() {
                self.prove(&event)?;
                self.position = position.clone();
                return Ok((event, position));
            }
            let response = self.watch.next(told).await?;
            self.take(response)?;
        }
    }

    /// Whether what came with the last response has all been handed out: a good moment to store the position.
    #[must_use]
    pub fn is_between_responses(&self) -> bool {
        self.pending.is_empty()
    }

    fn take(&mut self, response: WatchResponse) -> Result<(), Failure> {
        let mut at = self.position.clone();
        for record in response.records {
            let body = record.kind.as_ref();
            let name = body.map_or("", |body| body.name()).to_owned();
            if name <= self.newest.1 {
                let what = format!("{name} after {}", self.newest.1);
                return Err(Failure::out_of_order(&what));
            }
            self.newest.1.clone_from(&name);
            if self.came_before(|before| name <= before.name) {
                continue;
            }
            at.name = name;
            let event = Event::Record(Box::new(record));
            self.pending.push_back((event, at.clone()));
        }
        for change in response.changes {
            let sequence = change.sequence;
            if sequence <= self.newest.0 {
                let what = format!("{sequence} after {}", self.newest.0);
                return Err(Failure::out_of_order(&what));
            }
            self.newest.0 = sequence;
            if self.came_before(|before| sequence <= before.sequence) {
                continue;
            }
            at.sequence = sequence;
            let event = Event::Change(Box::new(change));
            self.pending.push_back((event, at.clone()));
        }
        if let Some(checkpoint) = response.checkpoint {
            if checkpoint.caught_up {
                at.name.clear();
            }
            self.pending.push_back((Event::Checkpoint(checkpoint), at));
        }
        // After the last event of a response its cursor stands for all of it.
        match self.pending.back_mut() {
            Some((_, last)) => last.cursor = response.cursor,
            None => self.position.cursor = response.cursor,
        }
        Ok(())
    }

    /// Whether something was handed out before the stream was resumed; once something was not, nothing after it was.
    fn came_before(&mut self, is_before: impl Fn(&Position) -> bool) -> bool {
        let before = self.resumed.take().filter(is_before);
        self.resumed = before;
        self.resumed.is_some()
    }

    fn prove(&mut self, event: &Event) -> Result<(), Failure> {
        let Some(proof) = &mut self.proof else {
            return Ok(());
        };
        proof.copy.take(event);
        match event {
            Event::Checkpoint(Checkpoint {
                sequence,
                digest: Some(said),
                ..
            }) => proof.copy.check(said, &proof.kinds, *sequence),
            _ => Ok(()),
        }
    }
}

/// Whether a stream brings all that the feed shows: what begins later leaves out what was there before.
fn is_whole(request: &WatchRequest) -> bool {
    let origin = match request.start {
        Some(Start::Cursor(_) | Start::Time(_)) => return false,
        Some(Start::Origin(origin)) => Origin::try_from(origin).unwrap_or_default(),
        None => Origin::Unspecified,
    };
    match (origin, request.consumer()) {
        // A notifier is spared what is old.
        (_, Consumer::Notifier) | (Origin::Now, _) => false,
        (Origin::Beginning | Origin::Snapshot, _) => true,
        (Origin::Unspecified, consumer) => consumer == Consumer::Replica,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(start: Option<Start>, consumer: Consumer) -> WatchRequest {
        WatchRequest {
            start,
            consumer: consumer.into(),
            ..WatchRequest::default()
        }
    }

    #[test]
    fn f11_only_a_stream_of_everything_can_be_proved() {
        let from = |origin: Origin| Some(Start::Origin(origin.into()));
        let everybody = Consumer::Unspecified;
        for (start, consumer, is_proof) in [
            (from(Origin::Snapshot), everybody, true),
            (from(Origin::Beginning), everybody, true),
            (None, Consumer::Replica, true),
            (None, everybody, false),
            (from(Origin::Now), everybody, false),
            (from(Origin::Now), Consumer::Replica, false),
            (from(Origin::Beginning), Consumer::Notifier, false),
            (Some(Start::Cursor("c".to_owned())), everybody, false),
            (
                Some(Start::Time(prost_types::Timestamp::default())),
                everybody,
                false,
            ),
        ] {
            let told = format!("{start:?} {consumer:?}");
            assert_eq!(is_whole(&request(start, consumer)), is_proof, "{told}");
        }
    }
}
