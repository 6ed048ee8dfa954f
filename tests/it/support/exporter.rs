//! A client that takes an export, written from the schema alone.

use std::collections::BTreeMap;

use dateline_proto::v1::{
    Digest, ExportBegin, ExportRequest, ExportResponse, Record, RecordFilter, Removal, State, View,
};
use tonic::{Code, Streaming};

use crate::{
    support::{
        editing::RpcError,
        records::{meta, name},
        server::{TIMEOUT, TestServer},
    },
    validator::digest::FoldedState,
};

/// The received state of an export.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct ReceivedExport {
    pub records: BTreeMap<String, Record>,
    pub removed: BTreeMap<String, Removal>,
    pub begin: Option<ExportBegin>,
    pub cursor: String,
    pub complete: bool,
}

impl ReceivedExport {
    pub fn apply_response(&mut self, response: ExportResponse) {
        for record in response.records {
            let last = self.records.keys().next_back();
            assert!(
                last.is_none_or(|last| last.as_str() < name(&record)),
                "records come in order, each once"
            );
            self.records.insert(name(&record).to_owned(), record);
        }
        for removal in response.removed {
            let last = self.removed.keys().next_back();
            assert!(last.is_none_or(|last| *last < removal.name));
            self.removed.insert(removal.name.clone(), removal);
        }
        // A resumed export has the same beginning, except for the feed's state in the meantime.
        if let Some(begin) = response.begin {
            let before = self.begin.get_or_insert_with(|| begin.clone());
            assert_eq!(before.sequence, begin.sequence);
        }
        self.cursor = response.cursor;
        self.complete = response.complete;
    }

    pub fn sequence(&self) -> i64 {
        self.begin.as_ref().unwrap().sequence
    }

    /// Applies a delta.
    pub fn apply(&mut self, delta: Self) {
        for name in delta.removed.keys() {
            assert!(!delta.records.contains_key(name), "{name} comes and goes");
            self.records.remove(name);
        }
        self.records.extend(delta.records);
    }

    /// The digest of the records that a list would return.
    pub fn digest(&self) -> Digest {
        let mut copy = FoldedState::default();
        for record in self.records.values() {
            if ![State::Retracted, State::Merged].contains(&meta(record).state()) {
                copy.insert(record, &RecordFilter::default());
            }
        }
        copy.count().expect("nothing of it was erased")
    }
}

pub fn full_export_request(view: View) -> ExportRequest {
    ExportRequest {
        view: view.into(),
        ..ExportRequest::default()
    }
}

pub fn delta_export_request(view: View, sequence: i64) -> ExportRequest {
    ExportRequest {
        since_sequence: Some(sequence),
        ..full_export_request(view)
    }
}

pub async fn open_export(server: &TestServer, request: ExportRequest) -> Streaming<ExportResponse> {
    let mut client = server.client.clone();
    client.exports.export(request).await.unwrap().into_inner()
}

pub async fn next_export_response(stream: &mut Streaming<ExportResponse>) -> ExportResponse {
    tokio::time::timeout(TIMEOUT, stream.message())
        .await
        .expect("a response comes")
        .unwrap()
        .expect("the export is not over")
}

/// Takes an export from its beginning to its end.
pub async fn run_export(server: &TestServer, request: ExportRequest) -> ReceivedExport {
    let mut taken = ReceivedExport::default();
    let mut stream = open_export(server, request).await;
    while !taken.complete {
        taken.apply_response(next_export_response(&mut stream).await);
    }
    assert!(
        stream.message().await.unwrap().is_none(),
        "the end is the end"
    );
    taken
}

/// Asserts that an export is refused.
pub async fn export_err(
    server: &TestServer,
    request: ExportRequest,
    code: Code,
    reason: &str,
) -> RpcError {
    let Err(status) = server.client.clone().exports.export(request).await else {
        panic!("the export begins");
    };
    let refused = RpcError::from(status);
    refused.assert_is(code, reason);
    refused
}
