//! The path of every write RPC from its request message to the committer and back. Paths in violations are reported as
//! the client wrote them, not as they are in the `Commit` made from its request.

use dateline_access::{Caller, Scope};
use dateline_engine::{rejection::Rejection, request::Request};
use dateline_proto::v1::{CommitRequest, LoadRecordsRequest};
use dateline_record::{name::Name, violation::Violation};
use dateline_store::{CommitError, Committed, Committer};
use time::OffsetDateTime;
use tonic::{Code, Status};

use crate::{
    matcher::Matcher,
    status::{self, Reason},
};

/// Commits, with the paths in violations and warnings renamed by `rename`.
///
/// # Errors
/// The status of the refusal, by the contract's error table.
pub async fn commit(
    committer: &Committer,
    matcher: &Matcher,
    caller: &Caller,
    request: CommitRequest,
    rename: impl Fn(&str) -> String,
) -> Result<Committed, Status> {
    // Checked first: a caller without permission learns nothing else about the request.
    let allowed = caller.require_writes(&request);
    allowed.map_err(|why| status::denied(&why))?;
    let renamed = |violations: &[Violation]| {
        let renamed = violations
            .iter()
            .map(|violation| Violation::new(rename(&violation.field), &violation.description));
        status::invalid(Reason::InvalidRecord, &renamed.collect::<Vec<_>>())
    };
    let now = OffsetDateTime::now_utc();
    let mut request = Request::new(request, caller.attribution(), now)
        .map_err(|violations| renamed(&violations))?;
    matcher.warn_of_duplicates(caller, &mut request).await;
    match committer.commit(request).await {
        Ok(mut committed) => {
            let scope = caller.session().scope();
            committed
                .warnings
                .retain(|warning| scope_covers(scope, &warning.records));
            for warning in &mut committed.warnings {
                warning.field = rename(&warning.field);
            }
            Ok(committed)
        }
        Err(CommitError::Rejected(Rejection::Invalid(violations))) => Err(renamed(&violations)),
        Err(CommitError::Rejected(Rejection::OnlyEvidence { mut records })) => {
            let scope = caller.session().scope();
            records.retain(|(record, _)| scope.allows_kind(record.kind()));
            if records.is_empty() {
                let message =
                    "records of kinds outside of the token's scope would be left without a source";
                let code = Code::FailedPrecondition;
                return Err(status::plain(code, Reason::OnlyEvidence, message));
            }
            Err(status::commit(&Rejection::OnlyEvidence { records }.into()))
        }
        Err(error) => Err(status::commit(&error)),
    }
}

/// Returns true if this scope covers the kinds of all these records.
fn scope_covers(scope: &Scope, names: &[String]) -> bool {
    let mut kinds = names.iter().filter_map(|name| Name::parse(name));
    kinds.all(|name| scope.allows_kind(name.kind()))
}

/// Loads records with the history that they had in another database.
///
/// # Errors
/// The status of the refusal, by the contract's error table.
pub async fn load(
    committer: &Committer,
    caller: &Caller,
    request: LoadRecordsRequest,
) -> Result<Committed, Status> {
    let request = Request::load(request, caller.attribution())
        .map_err(|violations| status::invalid(Reason::InvalidRecord, &violations))?;
    let committed = committer.commit(request).await;
    committed.map_err(|error| status::commit(&error))
}
