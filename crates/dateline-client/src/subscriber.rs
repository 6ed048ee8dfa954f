//! A consumer's end of a feed: single events, each with the position to store with its effects. It reconnects, resumes,
//! skips events that were delivered before, detects a stream that breaks its promises, and proves the replica on
//! request.

use std::collections::VecDeque;

#[cfg(feature = "verify")]
use dateline_proto::v1::{Checkpoint, Consumer, Origin, RecordFilter};
use dateline_proto::v1::{WatchRequest, WatchResponse, watch_request::Start};
use serde::{Deserialize, Serialize};

#[cfg(feature = "verify")]
use super::replica::ReplicaDigest;
use super::{Connection, Failure, WatchStream, event::Event};

/// Position of a consumer. If it is stored together with the effects of its event, every event has its effects exactly
/// once (F2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Cursor from the server; empty before the first response.
    pub cursor: String,
    /// Sequence of the last delivered change; it may be past the cursor, in the middle of a response.
    #[serde(default)]
    pub sequence: i64,
    /// Name of the last delivered record of a snapshot.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A stream of events.
#[derive(Debug)]
pub struct Subscriber {
    watch: WatchStream,
    pending: VecDeque<(Event, Position)>,
    position: Position,
    /// Position from which the stream was resumed: events between its cursor and this position are sent again.
    resumed: Option<Position>,
    /// The last received change and record, to detect a stream that is out of order.
    newest: (i64, String),
    #[cfg(feature = "verify")]
    proof: Option<Proof>,
}

#[cfg(feature = "verify")]
#[derive(Debug)]
struct Proof {
    replica: ReplicaDigest,
    kinds: Vec<i32>,
}

impl Subscriber {
    /// Opens a stream; with a position it resumes there, and the start of the request is ignored.
    ///
    /// # Errors
    /// If the server cannot be reached or refuses the request.
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
            watch: WatchStream::open(server, request).await?,
            pending: VecDeque::new(),
            position: resumed.clone().unwrap_or_default(),
            resumed,
            newest: (0, String::new()),
            #[cfg(feature = "verify")]
            proof: None,
        })
    }

    /// Opens a stream, and checks the delivered events against every digest that arrives. The stream has to start at
    /// the beginning or with a snapshot, and may be filtered by kind only: a digest cannot prove another part of the
    /// feed.
    ///
    /// # Errors
    /// Those of [`Self::open`], and a request that selects too little for a proof.
    #[cfg(feature = "verify")]
    pub async fn open_verified(
        server: impl Into<Connection>,
        request: WatchRequest,
    ) -> Result<Self, Failure> {
        if !covers_whole_feed(&request) {
            return Err(Failure::cannot_verify(
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
                    return Err(Failure::cannot_verify(
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
            replica: ReplicaDigest::default(),
            kinds,
        });
        Ok(subscriber)
    }

    /// Returns the next event, and the position of the consumer once it has processed the event. Waits for a server as
    /// long as it takes; `on_retry` is called with the reason for each wait.
    ///
    /// # Errors
    /// If the server refuses to resume (F6), if it breaks its promises, or if the replica differs from the feed.
    pub async fn next(
        &mut self,
        on_retry: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(Event, Position), Failure> {
        loop {
            if let Some((event, position)) = self.pending.pop_front() {
                #[cfg(feature = "verify")]
                self.verify_digest(&event)?;
                self.position = position.clone();
                return Ok((event, position));
            }
            let response = self.watch.next(on_retry).await?;
            self.queue_response(response)?;
        }
    }

    /// True if every event of the last response was delivered: a good moment to store the position.
    #[must_use]
    pub fn is_between_responses(&self) -> bool {
        self.pending.is_empty()
    }

    fn queue_response(&mut self, response: WatchResponse) -> Result<(), Failure> {
        let mut at = self.position.clone();
        for record in response.records {
            let body = record.kind.as_ref();
            let name = body.map_or("", |body| body.name()).to_owned();
            if name <= self.newest.1 {
                let what = format!("{name} after {}", self.newest.1);
                return Err(Failure::out_of_order(&what));
            }
            self.newest.1.clone_from(&name);
            if self.was_delivered(|before| name <= before.name) {
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
            if self.was_delivered(|before| sequence <= before.sequence) {
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
        // The cursor of a response is valid only after its last event.
        match self.pending.back_mut() {
            Some((_, last)) => last.cursor = response.cursor,
            None => self.position.cursor = response.cursor,
        }
        Ok(())
    }

    /// True if an event was delivered before the stream was resumed. From the first new event on it is always false.
    fn was_delivered(&mut self, is_before: impl Fn(&Position) -> bool) -> bool {
        let before = self.resumed.take().filter(is_before);
        self.resumed = before;
        self.resumed.is_some()
    }

    #[cfg(feature = "verify")]
    fn verify_digest(&mut self, event: &Event) -> Result<(), Failure> {
        let Some(proof) = &mut self.proof else {
            return Ok(());
        };
        proof.replica.apply(event);
        match event {
            Event::Checkpoint(Checkpoint {
                sequence,
                digest: Some(said),
                ..
            }) => proof.replica.check(said, &proof.kinds, *sequence),
            _ => Ok(()),
        }
    }
}

/// True if a stream brings everything that is visible in the feed: a later start omits what was there before.
#[cfg(feature = "verify")]
fn covers_whole_feed(request: &WatchRequest) -> bool {
    let origin = match request.start {
        Some(Start::Cursor(_) | Start::Time(_)) => return false,
        Some(Start::Origin(origin)) => Origin::try_from(origin).unwrap_or_default(),
        None => Origin::Unspecified,
    };
    match (origin, request.consumer()) {
        // A notifier gets no old changes.
        (_, Consumer::Notifier) | (Origin::Now, _) => false,
        (Origin::Beginning | Origin::Snapshot, _) => true,
        (Origin::Unspecified, consumer) => consumer == Consumer::Replica,
    }
}

#[cfg(all(test, feature = "verify"))]
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
            assert_eq!(
                covers_whole_feed(&request(start, consumer)),
                is_proof,
                "{told}"
            );
        }
    }
}
