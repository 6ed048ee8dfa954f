//! A consumer that keeps a replica, written from the contract alone: it folds the changes of a stream; the validator
//! computes the digest as `Digest` in the schema says.

use std::collections::BTreeMap;

use dateline_proto::v1::{
    Checkpoint, Digest, GetFeedRequest, GetFeedResponse, Record, RecordFilter, State, View,
    WatchRequest, WatchResponse, change::Type,
};
use sqlx::PgConnection;
use tonic::{Code, Streaming};

use crate::{
    support::{
        editing::RpcError,
        records::{meta, name},
        server::{TIMEOUT, TestServer},
    },
    validator::digest::FoldedState,
};

/// A replica of a view.
#[derive(Debug, Default)]
pub struct Replica {
    pub records: BTreeMap<String, Record>,
    pub cursor: String,
    pub checkpoint: Option<Checkpoint>,
    /// The sequence of its snapshot.
    pub snapshot_sequence: i64,
    /// Sequences of the received changes.
    pub sequences: Vec<i64>,
}

impl Replica {
    /// Applies a response.
    pub fn apply(&mut self, response: WatchResponse) {
        for record in response.records {
            assert!(
                self.records
                    .keys()
                    .next_back()
                    .is_none_or(|last| last.as_str() < name(&record)),
                "records of a snapshot come in order, each once"
            );
            self.snapshot_sequence = response.snapshot_sequence;
            self.records.insert(name(&record).to_owned(), record);
        }
        for change in response.changes {
            assert!(
                self.sequences
                    .last()
                    .is_none_or(|last| *last < change.sequence)
            );
            assert!(change.sequence > self.snapshot_sequence);
            self.sequences.push(change.sequence);
            let gone = [Type::Deleted, Type::Purged, Type::Left];
            let kept = change.record.clone().filter(|record| {
                !gone.contains(&change.r#type())
                    && ![State::Retracted, State::Merged].contains(&meta(record).state())
            });
            match kept {
                Some(record) => self.records.insert(change.name, record),
                None => self.records.remove(&change.name),
            };
        }
        self.cursor = response.cursor;
        if response.checkpoint.is_some() {
            self.checkpoint = response.checkpoint;
        }
    }

    /// The digest of the replica.
    pub fn digest(&self) -> Digest {
        let mut copy = FoldedState::default();
        for record in self.records.values() {
            copy.insert(record, &RecordFilter::default());
        }
        copy.count().expect("nothing of it was erased")
    }
}

/// Asserts that a stream is refused; returns the refusal.
pub async fn watch_err(server: &TestServer, request: WatchRequest) -> RpcError {
    match server.client.clone().feed.watch(request).await {
        Err(status) => status.into(),
        Ok(_) => panic!("the stream begins"),
    }
}

pub async fn next_response(stream: &mut Streaming<WatchResponse>) -> WatchResponse {
    tokio::time::timeout(TIMEOUT, stream.message())
        .await
        .expect("a response comes")
        .unwrap()
        .expect("the stream goes on")
}

/// Reads until the stream ends with an error; returns it.
pub async fn read_to_error(mut stream: Streaming<WatchResponse>) -> RpcError {
    let ending = async {
        loop {
            if let Err(status) = stream.message().await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(TIMEOUT, ending)
        .await
        .expect("the stream ends");
    assert_ne!(status.code(), Code::Unavailable, "{status:?}");
    status.into()
}

/// Reads until the stream has passed a sequence.
pub async fn follow(follower: &mut Replica, stream: &mut Streaming<WatchResponse>, up_to: i64) {
    loop {
        let passed = follower.sequences.last().copied();
        let told = follower
            .checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.sequence);
        if passed.max(told).is_some_and(|sequence| sequence >= up_to) {
            return;
        }
        follower.apply(next_response(stream).await);
    }
}

pub async fn get_feed(server: &TestServer, view: View) -> GetFeedResponse {
    let request = GetFeedRequest { view: view.into() };
    server
        .client
        .clone()
        .feed
        .get_feed(request)
        .await
        .unwrap()
        .into_inner()
}

/// Returns true if both stored tallies equal those that the database counts from its heads (F11).
pub async fn are_tallies_correct(sql: &mut PgConnection) -> bool {
    sqlx::query_scalar(
        "SELECT desk_tally = counted_tally('{draft,in_review,embargoed,published}')
             AND wire_tally = counted_tally('{published}')
         FROM feed",
    )
    .fetch_one(sql)
    .await
    .unwrap()
}
