//! Errors as gRPC status: the only file with the contract's error table. Every error has one `ErrorInfo` with a reason;
//! texts of the driver and stored content are never sent.

use std::{collections::HashMap, time::Duration};

use dateline_access::Denied;
use dateline_engine::rejection::Rejection;
use dateline_record::{sequence::Sequence, violation::Violation};
use dateline_store::CommitError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

pub use super::reason::Reason;

/// The domain of all reasons.
pub const DOMAIN: &str = "dateline";

/// Delay for retries after UNAVAILABLE.
const UNAVAILABLE_RETRY_DELAY: Duration = Duration::from_millis(200);
/// Delay for retries after `RESOURCE_EXHAUSTED`.
const LIMIT_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Returns a status with its `ErrorInfo` and no other details.
#[must_use]
pub fn plain(code: Code, reason: Reason, message: impl Into<String>) -> Status {
    with(code, reason, message, HashMap::new(), |_| {})
}

fn with(
    code: Code,
    reason: Reason,
    message: impl Into<String>,
    metadata: HashMap<String, String>,
    add: impl FnOnce(&mut ErrorDetails),
) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.as_str(), DOMAIN, metadata);
    add(&mut details);
    Status::with_error_details(code, truncate_message(message.into()), details)
}

/// Shortens a message so that it fits beside the details. It may quote the request, and in a header everything but
/// plain ASCII takes three times its bytes.
fn truncate_message(mut message: String) -> String {
    let cost = |letter: char| match letter {
        ' '..='~' if letter != '%' => 1,
        _ => 3 * letter.len_utf8(),
    };
    let mut bytes = 0;
    let end = message.char_indices().find(|(_, letter)| {
        bytes += cost(*letter);
        bytes > MAX_MESSAGE_BYTES
    });
    if let Some((end, _)) = end {
        message.truncate(end);
        message.push_str(" ...");
    }
    message
}

fn metadata<const N: usize>(entries: [(&str, String); N]) -> HashMap<String, String> {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Most bytes of the entries listed in a status. Details are sent in HTTP/2 trailers, in base64, and some clients
/// accept at most 8 KiB of trailers.
const MAX_LISTED_BYTES: usize = 4608;
/// Most bytes of a message in its header encoding: it fits into the same 8 KiB beside the list.
const MAX_MESSAGE_BYTES: usize = 600;
/// Most bytes of an entry besides its texts.
const ENTRY_BYTES: usize = 40;

/// Returns the entries that fit, and one with the number of further ones.
fn entries_that_fit(all: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let (mut listed, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for (about, what) in all {
        bytes += about.len() + what.len() + ENTRY_BYTES;
        if bytes <= MAX_LISTED_BYTES {
            listed.push((about, what));
        } else {
            left_out += 1;
        }
    }
    if left_out > 0 {
        listed.push((String::new(), format!("and {left_out} more")));
    }
    listed
}

/// Joins the paths that fit with commas.
fn join_paths(paths: &[String]) -> String {
    let mut bytes = 0;
    let fitting = paths.iter().take_while(|path| {
        bytes += path.len() + 1;
        bytes <= MAX_LISTED_BYTES
    });
    fitting.cloned().collect::<Vec<_>>().join(",")
}

/// Returns `INVALID_ARGUMENT` with all violations that fit (W6).
#[must_use]
pub fn invalid(reason: Reason, violations: &[Violation]) -> Status {
    let message = match violations {
        [only] if only.field.is_empty() => only.description.clone(),
        [only] => format!("{}: {}", only.field, only.description),
        [first, rest @ ..] => format!(
            "{}: {} (and {} more)",
            first.field,
            first.description,
            rest.len()
        ),
        [] => "the request is not valid".to_owned(),
    };
    with(
        Code::InvalidArgument,
        reason,
        message,
        HashMap::new(),
        |details| {
            let all = violations.iter();
            let all = all.map(|it| (it.field.clone(), it.description.clone()));
            for (field, description) in entries_that_fit(all) {
                details.add_bad_request_violation(field, description);
            }
        },
    )
}

/// Returns `INVALID_ARGUMENT` for one field.
#[must_use]
pub fn invalid_field(reason: Reason, field: &str, description: &str) -> Status {
    invalid(reason, &[Violation::new(field, description)])
}

/// Returns `NOT_FOUND`, equal for records that do not exist and records that the caller may not see (F10).
#[must_use]
pub fn not_found(name: &str) -> Status {
    with(
        Code::NotFound,
        Reason::RecordNotFound,
        format!("there is no record {name}"),
        metadata([("name", name.to_owned())]),
        |details| {
            details.set_resource_info(
                "dateline.v1.Record",
                name,
                "",
                "no such record, or not visible in this view",
            );
        },
    )
}

/// Returns the error for a message that cannot be decoded.
#[must_use]
pub fn undecodable(error: &prost::DecodeError) -> Status {
    tracing::debug!(%error, "undecodable message");
    let message = "the message cannot be decoded: it is cut short, not valid UTF-8, too deeply nested or of another type";
    plain(Code::InvalidArgument, Reason::UndecodableMessage, message)
}

/// Returns the error for a message with far more elements than any request may have.
#[must_use]
pub fn decoded_size_exceeded() -> Status {
    let message = "the message has far more entries than any request may have; send fewer at once";
    plain(Code::InvalidArgument, Reason::InvalidRequest, message)
}

/// Returns UNAVAILABLE: the client may retry, a write with the same `request_id`.
#[must_use]
pub fn unavailable(reason: Reason, message: &str) -> Status {
    with(
        Code::Unavailable,
        reason,
        message,
        HashMap::new(),
        |details| {
            details.set_retry_info(Some(UNAVAILABLE_RETRY_DELAY));
        },
    )
}

/// Returns INTERNAL with an id, under which the error is logged.
pub fn internal(error: &(dyn std::error::Error + 'static)) -> Status {
    let id = Uuid::now_v7().to_string();
    tracing::error!(error, %id, "internal error");
    let message = format!("something went wrong on our side; please report it with the id {id}");
    with(
        Code::Internal,
        Reason::Internal,
        message,
        metadata([("id", id)]),
        |_| {},
    )
}

/// Returns `FAILED_PRECONDITION` with the records that cause it, each with a description.
fn precondition<'a>(
    reason: Reason,
    message: String,
    violations: impl Iterator<Item = (&'a str, String)>,
) -> Status {
    let nothing = HashMap::new();
    with(
        Code::FailedPrecondition,
        reason,
        message,
        nothing,
        |details| {
            let all = violations.map(|(subject, what)| (subject.to_owned(), what));
            for (subject, what) in entries_that_fit(all) {
                details.add_precondition_failure_violation(reason.as_str(), subject, what);
            }
        },
    )
}

/// Returns the status for a refused request.
fn from_refusal(rejection: &Rejection) -> Status {
    let message = rejection.to_string();
    match rejection {
        Rejection::Invalid(violations) => invalid(Reason::InvalidRecord, violations),
        Rejection::NotFound { name } => not_found(name.as_str()),
        Rejection::NameTaken { name } => {
            let about = metadata([("name", name.to_string())]);
            with(
                Code::AlreadyExists,
                Reason::NameTaken,
                message,
                about,
                |_| {},
            )
        }
        Rejection::EtagMismatch {
            name,
            current,
            changed_paths,
            ..
        } => {
            let about = metadata([
                ("name", name.to_string()),
                ("etag", current.to_string()),
                ("changed_paths", join_paths(changed_paths)),
            ]);
            with(Code::Aborted, Reason::EtagMismatch, message, about, |_| {})
        }
        Rejection::WrongState { name, state, .. } => {
            let about = metadata([
                ("name", name.to_string()),
                ("state", state.as_str_name().to_owned()),
            ]);
            with(
                Code::FailedPrecondition,
                Reason::WrongState,
                message,
                about,
                |_| {},
            )
        }
        Rejection::UnresolvedReferences { references } => {
            let violations = references.iter();
            let violations = violations.map(|it| (it.source.as_str(), it.description()));
            precondition(Reason::UnresolvedReferences, message, violations)
        }
        Rejection::MissingEvidence { names } => {
            let what = "quote an article as evidence, or leave the record out of the batch";
            let violations = names.iter().map(|name| (name.as_str(), what.to_owned()));
            precondition(Reason::MissingEvidence, message, violations)
        }
        Rejection::DuplicateOriginal { existing } => {
            let about = metadata([("name", existing.to_string())]);
            with(
                Code::AlreadyExists,
                Reason::DuplicateOriginal,
                message,
                about,
                |_| {},
            )
        }
        Rejection::OnlyEvidence { records } => {
            let violations = records.iter().map(|(record, article)| {
                (
                    record.as_str(),
                    format!("cites no other published article than {article}"),
                )
            });
            precondition(Reason::OnlyEvidence, message, violations)
        }
        Rejection::PartOfItself { names } => {
            let violations = names.iter().map(|name| {
                (
                    name.as_str(),
                    "is on the way around; unlink one of them".to_owned(),
                )
            });
            precondition(Reason::PartOfItself, message, violations)
        }
        Rejection::PartOfTooDeep { name } => {
            let what = "lies too deep";
            let violations = std::iter::once((name.as_str(), what.to_owned()));
            precondition(Reason::PartOfItself, message, violations)
        }
        Rejection::TooLarge { .. } => {
            plain(Code::ResourceExhausted, Reason::MessageTooLarge, message)
        }
        Rejection::RequestIdReused => with(
            Code::InvalidArgument,
            Reason::RequestIdReused,
            message,
            HashMap::new(),
            |details| {
                details.add_bad_request_violation("request_id", "take a new id for a new request");
            },
        ),
        Rejection::Corrupt { .. } => internal(rejection),
    }
}

/// Returns the status for an error of the store.
#[must_use]
pub fn store(error: &dateline_store::Error) -> Status {
    match error {
        dateline_store::Error::Unavailable(_) | dateline_store::Error::Raced(_) => {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the store is unavailable"
            );
            unavailable(
                Reason::StoreUnavailable,
                "the database cannot be reached; try again, a write with the same request_id",
            )
        }
        dateline_store::Error::TimedOut(_) => plain(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            "the database took too long; nothing was changed",
        ),
        dateline_store::Error::DiskFull(_) => {
            tracing::error!(
                error = error as &dyn std::error::Error,
                "the database's disk is full"
            );
            plain(
                Code::ResourceExhausted,
                Reason::DiskFull,
                "the database's disk is full; reads and streams go on",
            )
        }
        dateline_store::Error::UidTaken(_) => plain(
            Code::AlreadyExists,
            Reason::NameTaken,
            "one of these records is here already, under another name: its uid is taken",
        ),
        dateline_store::Error::ShuttingDown => unavailable(
            Reason::ShuttingDown,
            "the server is shutting down; try another, or again later",
        ),
        dateline_store::Error::Database(_)
        | dateline_store::Error::Corrupt(_)
        | dateline_store::Error::NotRead(_)
        | dateline_store::Error::Schema(_)
        | dateline_store::Error::SchemaVersion(_)
        | dateline_store::Error::Foreign(_)
        | dateline_store::Error::Url(_) => internal(error),
    }
}

/// Returns the status for a failed commit.
#[must_use]
pub fn commit(error: &CommitError) -> Status {
    match error {
        CommitError::Rejected(rejection) => from_refusal(rejection),
        CommitError::Store(error) => store(error),
    }
}

/// Returns the status for a denied call.
#[must_use]
pub fn denied(why: &Denied) -> Status {
    let message = why.to_string();
    let (code, reason) = match why {
        Denied::Missing | Denied::Invalid | Denied::Claim(_) => {
            (Code::Unauthenticated, Reason::TokenInvalid)
        }
        Denied::Revoked => (Code::Unauthenticated, Reason::TokenRevoked),
        Denied::Expired => (Code::Unauthenticated, Reason::TokenExpired),
        Denied::Changed => (Code::Unauthenticated, Reason::AccessChanged),
        Denied::Role(_) => (Code::PermissionDenied, Reason::RoleRequired),
        Denied::Scope(_) => (Code::PermissionDenied, Reason::OutOfScope),
        Denied::TooManyAttempts => return limited(Reason::RateLimited, message),
        Denied::Store(error) => return store(error),
    };
    plain(code, reason, message)
}

/// Returns `RESOURCE_EXHAUSTED` for a limit; the client may retry later.
#[must_use]
pub fn limited(reason: Reason, message: impl Into<String>) -> Status {
    let code = Code::ResourceExhausted;
    with(code, reason, message, HashMap::new(), |details| {
        details.set_retry_info(Some(LIMIT_RETRY_DELAY));
    })
}

/// Returns the status for a stream that cannot be served (F6).
#[must_use]
pub fn feed(error: &dateline_feed::Error) -> Status {
    let message = error.to_string();
    match error {
        dateline_feed::Error::InvalidCursor => {
            invalid_field(Reason::InvalidCursor, "cursor", &message)
        }
        dateline_feed::Error::ForeignCursor => plain(
            Code::FailedPrecondition,
            Reason::CursorForeign,
            format!("{message}; begin anew with ORIGIN_SNAPSHOT"),
        ),
        dateline_feed::Error::CursorExpired { after, earliest } => {
            let about = metadata([
                ("sequence", after.to_string()),
                ("earliest_sequence", earliest.to_string()),
            ]);
            let message = format!("{message}; begin anew with ORIGIN_SNAPSHOT");
            out_of_range(Reason::CursorExpired, message, about)
        }
        dateline_feed::Error::FilterChanged => {
            let what =
                format!("{message}; give the same filter, or begin anew with ORIGIN_SNAPSHOT");
            invalid_field(Reason::InvalidCursor, "cursor", &what)
        }
        dateline_feed::Error::TimeInFuture => {
            let what = "is in the future; to get what comes from now on, use ORIGIN_NOW";
            invalid_field(Reason::InvalidRequest, "time", what)
        }
        dateline_feed::Error::CursorInFuture { cursor, head } => {
            let about = metadata([
                ("sequence", cursor.to_string()),
                ("head_sequence", head.to_string()),
            ]);
            let message = format!("{message}; check where the cursor came from");
            out_of_range(Reason::CursorInFuture, message, about)
        }
        dateline_feed::Error::SequenceTooFar { .. } => {
            invalid_field(Reason::InvalidRequest, "min_sequence", &message)
        }
        dateline_feed::Error::Store(error) => store(error),
    }
}

/// Returns the error for a sequence whose state is no longer kept.
#[must_use]
pub fn no_longer_kept(sequence: Sequence, earliest: Sequence) -> Status {
    let about = metadata([
        ("sequence", sequence.to_string()),
        ("earliest_sequence", earliest.to_string()),
    ]);
    let message =
        format!("history begins at {earliest} here, and what was at {sequence} is no longer kept");
    out_of_range(Reason::CursorExpired, message, about)
}

/// Returns `OUT_OF_RANGE` for a cursor or sequence that cannot be served.
fn out_of_range(reason: Reason, message: String, about: HashMap<String, String>) -> Status {
    with(Code::OutOfRange, reason, message, about, |_| {})
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
