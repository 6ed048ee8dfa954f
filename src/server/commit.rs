//! Every write RPC is a `Commit`: this is the way from a request message to the committer and back. Paths in
//! violations are told as the client wrote them, not as the `Commit` that we made of its request.

use bytes::Bytes;
use tonic::Status;

use super::{
    codec::Ready,
    read::Pieces,
    status::{self, Reason},
};
use crate::{
    model::{request::Request, violation::Violation},
    proto::v1::CommitRequest,
    store::{Committed, Committer, StoredRecord, View},
};

/// Who writes, while the service runs without accounts.
const LOCAL_AUTHOR: &str = "local";

/// Commits, and tells violations under the paths that `rename` gives.
///
/// # Errors
/// Whatever the contract says of the refusal.
pub async fn commit(
    committer: &Committer,
    request: CommitRequest,
    rename: impl Fn(&str) -> String,
) -> Result<Committed, Status> {
    let renamed = |violations: &[Violation]| {
        let violations: Vec<_> = violations
            .iter()
            .map(|violation| Violation::new(rename(&violation.field), &violation.description))
            .collect();
        status::invalid(Reason::InvalidRecord, &violations)
    };
    let request = Request::new(request, LOCAL_AUTHOR.to_owned())
        .map_err(|violations| renamed(&violations))?;
    committer
        .commit(request)
        .await
        .map_err(|error| match &error {
            crate::store::CommitError::Refused(crate::model::refusal::Refusal::Invalid(
                violations,
            )) => renamed(violations),
            error => status::commit(error),
        })
}

/// The response to a write of one record: `record = 1`, `sequence = 2`.
#[must_use]
pub fn one<T>(committed: &Committed) -> Ready<T> {
    let mut pieces = Pieces::default();
    for record in &committed.records {
        if let Some(bytes) = record.encoded(View::Desk) {
            pieces.message(1, bytes);
        }
    }
    pieces.fields(integers(&[(2, committed.desk_sequence)]));
    pieces.finish()
}

/// The response to a write of many: `records = 1`, `sequence = 2`, `wire_sequence = 3`.
#[must_use]
pub fn many<T>(committed: &Committed, omit_content: bool) -> Ready<T> {
    let mut pieces = Pieces::default();
    for record in &committed.records {
        pieces.message(1, answer(record, omit_content));
    }
    pieces.fields(integers(&[
        (2, committed.desk_sequence),
        (3, committed.wire_sequence),
    ]));
    pieces.finish()
}

fn answer(record: &StoredRecord, omit_content: bool) -> Bytes {
    match record.encoded(View::Desk) {
        Some(bytes) if !omit_content => bytes,
        _ => record.encoded_without_content(),
    }
}

/// Integer fields, as protobuf writes them; 0 is left out.
#[must_use]
pub fn integers(fields: &[(u32, u64)]) -> Bytes {
    let mut out = Vec::new();
    for (field, number) in fields.iter().filter(|(_, number)| *number != 0) {
        prost::encoding::uint64::encode(*field, number, &mut out);
    }
    out.into()
}
