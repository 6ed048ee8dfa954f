//! Every write RPC is a `Commit`: this is the way from a request message to the committer and back. Paths in
//! violations are told as the client wrote them, not as the `Commit` that we made of its request.

use bytes::Bytes;
use prost::Message;
use time::OffsetDateTime;
use tonic::{Code, Status};

use super::{
    codec::Ready,
    read::Pieces,
    status::{self, Reason},
};
use crate::{
    access::{Caller, Scope},
    model::{name::Name, refusal::Refusal, request::Request, violation::Violation},
    proto::v1::{CommitRequest, LoadRecordsRequest},
    store::{CommitError, Committed, Committer, StoredRecord, View},
};

/// Commits, and tells violations and warnings under the paths that `rename` gives.
///
/// # Errors
/// Whatever the contract says of the refusal.
pub async fn commit(
    committer: &Committer,
    caller: &Caller,
    request: CommitRequest,
    rename: impl Fn(&str) -> String,
) -> Result<Committed, Status> {
    // Before anything else is said of the request: who may not is told that alone.
    let allowed = caller.require_writes(&request);
    allowed.map_err(|why| status::denied(&why))?;
    let renamed = |violations: &[Violation]| {
        let renamed = violations
            .iter()
            .map(|violation| Violation::new(rename(&violation.field), &violation.description));
        status::invalid(Reason::InvalidRecord, &renamed.collect::<Vec<_>>())
    };
    let now = OffsetDateTime::now_utc();
    let request =
        Request::new(request, caller.by(), now).map_err(|violations| renamed(&violations))?;
    match committer.commit(request).await {
        Ok(mut committed) => {
            let scope = caller.session().scope();
            committed
                .warnings
                .retain(|warning| covers(scope, &warning.records));
            for warning in &mut committed.warnings {
                warning.field = rename(&warning.field);
            }
            Ok(committed)
        }
        Err(CommitError::Refused(Refusal::Invalid(violations))) => Err(renamed(&violations)),
        Err(CommitError::Refused(Refusal::OnlyEvidence { mut records })) => {
            let scope = caller.session().scope();
            records.retain(|(record, _)| scope.has_kind(record.kind()));
            if records.is_empty() {
                let message =
                    "records of kinds outside of the token's scope would be left without a source";
                let code = Code::FailedPrecondition;
                return Err(status::plain(code, Reason::OnlyEvidence, message));
            }
            Err(status::commit(&Refusal::OnlyEvidence { records }.into()))
        }
        Err(error) => Err(status::commit(&error)),
    }
}

/// Whether somebody with this scope may be told of these records.
fn covers(scope: &Scope, names: &[String]) -> bool {
    let mut kinds = names.iter().filter_map(|name| Name::parse(name));
    kinds.all(|name| scope.has_kind(name.kind()))
}

/// Takes records as another database had them.
///
/// # Errors
/// Whatever the contract says of the refusal.
pub async fn load(
    committer: &Committer,
    caller: &Caller,
    request: LoadRecordsRequest,
) -> Result<Committed, Status> {
    let request = Request::load(request, caller.by())
        .map_err(|violations| status::invalid(Reason::InvalidRecord, &violations))?;
    let committed = committer.commit(request).await;
    committed.map_err(|error| status::commit(&error))
}

/// The response to a write of one record: `record = 1`, `sequence = 2`, `wire_sequence = 3` where there is
/// one, `warnings = 4`.
#[must_use]
pub fn one<T>(committed: &Committed) -> Ready<T> {
    let mut pieces = Pieces::default();
    if let Some(bytes) = committed
        .records
        .first()
        .and_then(|record| record.encoded(View::Desk))
    {
        pieces.message(1, bytes);
    }
    finish(pieces, committed)
}

/// The response to a write of many: `records = 1`, and the rest as with one.
#[must_use]
pub fn many<T>(committed: &Committed, omit_content: bool) -> Ready<T> {
    let mut pieces = Pieces::default();
    for record in &committed.records {
        pieces.message(1, answer(record, omit_content));
    }
    finish(pieces, committed)
}

fn finish<T>(mut pieces: Pieces, committed: &Committed) -> Ready<T> {
    let numbers = [(2, committed.desk_sequence), (3, committed.wire_sequence)];
    pieces.fields(integers(&numbers));
    for warning in &committed.warnings {
        pieces.message(4, warning.encode_to_vec().into());
    }
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
