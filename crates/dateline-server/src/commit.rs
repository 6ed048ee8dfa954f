//! Every write RPC is a `Commit`: this is the way from a request message to the committer and back. Paths in
//! violations are told as the client wrote them, not as the `Commit` that we made of its request.

use dateline_access::{Caller, Scope};
use dateline_engine::{refusal::Refusal, request::Request};
use dateline_proto::v1::{CommitRequest, LoadRecordsRequest};
use dateline_record::{name::Name, violation::Violation};
use dateline_store::{CommitError, Committed, Committer};
use time::OffsetDateTime;
use tonic::{Code, Status};

use super::status::{self, Reason};

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
