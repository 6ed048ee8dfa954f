//! Errors to gRPC status: the contract's error table, and the only file that knows it. Every answer carries
//! one `ErrorInfo` with a reason; driver text and stored content never leave.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use uuid::Uuid;

pub use super::reason::Reason;
use crate::{
    access::Denied,
    feed,
    model::{refusal::Refusal, violation::Violation},
    store::{self, CommitError},
};

/// The domain of every reason.
pub const DOMAIN: &str = "dateline";

/// When a client may try again after UNAVAILABLE.
const RETRY_AFTER: Duration = Duration::from_millis(200);
/// When it may try again after something was too much.
const RETRY_LATER: Duration = Duration::from_secs(1);

/// A status with its one `ErrorInfo`, and nothing else.
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
    Status::with_error_details(code, shortened(message.into()), details)
}

/// A message as far as it fits beside the details: it may quote what was sent, and in a header all but plain ASCII takes
/// three times its bytes.
fn shortened(mut message: String) -> String {
    let cost = |letter: char| match letter {
        ' '..='~' if letter != '%' => 1,
        _ => 3 * letter.len_utf8(),
    };
    let mut bytes = 0;
    let end = message.char_indices().find(|(_, letter)| {
        bytes += cost(*letter);
        bytes > MESSAGE_BYTES
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

/// Most bytes of what an answer lists. Details travel in HTTP/2 trailers, in base64, and some clients take no
/// more than 8 KiB of those.
const LISTED_BYTES: usize = 4608;
/// Most bytes of a message, as it travels: with what is listed it fits there, too.
const MESSAGE_BYTES: usize = 600;
/// Bytes of an entry beside its texts, at most.
const ENTRY_BYTES: usize = 40;

/// As many entries as fit an answer, and one that says how many more there are.
fn fitting(all: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let (mut listed, mut bytes, mut left_out) = (Vec::new(), 0, 0);
    for (about, what) in all {
        bytes += about.len() + what.len() + ENTRY_BYTES;
        if bytes <= LISTED_BYTES {
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

/// As many paths as fit, with commas between them.
fn joined(paths: &[String]) -> String {
    let mut bytes = 0;
    let fitting = paths.iter().take_while(|path| {
        bytes += path.len() + 1;
        bytes <= LISTED_BYTES
    });
    fitting.cloned().collect::<Vec<_>>().join(",")
}

/// `INVALID_ARGUMENT` with every violation (W6), as far as they fit.
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
            for (field, description) in fitting(all) {
                details.add_bad_request_violation(field, description);
            }
        },
    )
}

/// `INVALID_ARGUMENT` for one field.
#[must_use]
pub fn invalid_field(reason: Reason, field: &str, description: &str) -> Status {
    invalid(reason, &[Violation::new(field, description)])
}

/// `NOT_FOUND`: the same for what there is not and what the caller may not see (F10).
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

/// A message that is not of its type.
#[must_use]
pub fn undecodable(error: &prost::DecodeError) -> Status {
    tracing::debug!(%error, "undecodable message");
    let message = "the message cannot be decoded: it is cut short, not valid UTF-8, too deeply nested or of another type";
    plain(Code::InvalidArgument, Reason::UndecodableMessage, message)
}

/// A message with far more elements than any request may have.
#[must_use]
pub fn bloated() -> Status {
    let message = "the message has far more entries than any request may have; send fewer at once";
    plain(Code::InvalidArgument, Reason::InvalidRequest, message)
}

/// UNAVAILABLE: try again, with the same `request_id` if it was a write.
#[must_use]
pub fn unavailable(reason: Reason, message: &str) -> Status {
    with(
        Code::Unavailable,
        reason,
        message,
        HashMap::new(),
        |details| {
            details.set_retry_info(Some(RETRY_AFTER));
        },
    )
}

/// INTERNAL, with an id under which the log tells what happened.
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

/// `FAILED_PRECONDITION` with the records that stand in the way: subject and what is the matter.
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
            for (subject, what) in fitting(all) {
                details.add_precondition_failure_violation(reason.as_str(), subject, what);
            }
        },
    )
}

/// What a refusal is to a client.
fn refused(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::Invalid(violations) => invalid(Reason::InvalidRecord, violations),
        Refusal::NotFound { name } => not_found(name.as_str()),
        Refusal::NameTaken { name } => {
            let about = metadata([("name", name.to_string())]);
            with(
                Code::AlreadyExists,
                Reason::NameTaken,
                message,
                about,
                |_| {},
            )
        }
        Refusal::EtagMismatch {
            name,
            current,
            changed_paths,
            ..
        } => {
            let about = metadata([
                ("name", name.to_string()),
                ("etag", current.clone()),
                ("changed_paths", joined(changed_paths)),
            ]);
            with(Code::Aborted, Reason::EtagMismatch, message, about, |_| {})
        }
        Refusal::WrongState { name, state, .. } => {
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
        Refusal::UnresolvedReferences { references } => {
            let violations = references.iter();
            let violations = violations.map(|it| (it.source.as_str(), it.in_words()));
            precondition(Reason::UnresolvedReferences, message, violations)
        }
        Refusal::MissingEvidence { names } => {
            let what = "quote an article as evidence, or leave the record out of the batch";
            let violations = names.iter().map(|name| (name.as_str(), what.to_owned()));
            precondition(Reason::MissingEvidence, message, violations)
        }
        Refusal::DuplicateOriginal { existing } => {
            let about = metadata([("name", existing.to_string())]);
            with(
                Code::AlreadyExists,
                Reason::DuplicateOriginal,
                message,
                about,
                |_| {},
            )
        }
        Refusal::OnlyEvidence { records } => {
            let violations = records.iter().map(|(record, article)| {
                (
                    record.as_str(),
                    format!("cites no other published article than {article}"),
                )
            });
            precondition(Reason::OnlyEvidence, message, violations)
        }
        Refusal::PartOfItself { names } => {
            let violations = names.iter().map(|name| {
                (
                    name.as_str(),
                    "is on the way around; unlink one of them".to_owned(),
                )
            });
            precondition(Reason::PartOfItself, message, violations)
        }
        Refusal::PartOfTooDeep { name } => {
            let what = "lies too deep";
            let violations = std::iter::once((name.as_str(), what.to_owned()));
            precondition(Reason::PartOfItself, message, violations)
        }
        Refusal::TooLarge { .. } => {
            plain(Code::ResourceExhausted, Reason::MessageTooLarge, message)
        }
        Refusal::RequestIdReused => with(
            Code::InvalidArgument,
            Reason::RequestIdReused,
            message,
            HashMap::new(),
            |details| {
                details.add_bad_request_violation("request_id", "take a new id for a new request");
            },
        ),
        Refusal::Corrupt { .. } => internal(refusal),
    }
}

/// What a store error is to a client.
#[must_use]
pub fn store(error: &store::Error) -> Status {
    match error {
        store::Error::Unavailable(_) | store::Error::Raced(_) => {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the store is unavailable"
            );
            unavailable(
                Reason::StoreUnavailable,
                "the database cannot be reached; try again, a write with the same request_id",
            )
        }
        store::Error::TimedOut(_) => plain(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            "the database took too long; nothing was changed",
        ),
        store::Error::DiskFull(_) => {
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
        store::Error::UidTaken(_) => plain(
            Code::AlreadyExists,
            Reason::NameTaken,
            "one of these records is here already, under another name: its uid is taken",
        ),
        store::Error::ShuttingDown => unavailable(
            Reason::ShuttingDown,
            "the server is shutting down; try another, or again later",
        ),
        store::Error::Database(_)
        | store::Error::Corrupt(_)
        | store::Error::Schema(_)
        | store::Error::SchemaVersion(_)
        | store::Error::Foreign(_)
        | store::Error::Url(_) => internal(error),
    }
}

/// What a failed commit is to a client.
#[must_use]
pub fn commit(error: &CommitError) -> Status {
    match error {
        CommitError::Refused(refusal) => refused(refusal),
        CommitError::Store(error) => store(error),
    }
}

/// What it is to a client that it may not.
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
        Denied::TooManyGuesses => return limited(Reason::RateLimited, message),
        Denied::Store(error) => return store(error),
    };
    plain(code, reason, message)
}

/// `RESOURCE_EXHAUSTED`: too much at once, or too fast; later it may be taken.
#[must_use]
pub fn limited(reason: Reason, message: impl Into<String>) -> Status {
    let code = Code::ResourceExhausted;
    with(code, reason, message, HashMap::new(), |details| {
        details.set_retry_info(Some(RETRY_LATER));
    })
}

/// What a stream that cannot be served is to a client (F6).
#[must_use]
pub fn feed(error: &feed::Error) -> Status {
    let message = error.to_string();
    match error {
        feed::Error::InvalidCursor => invalid_field(Reason::InvalidCursor, "cursor", &message),
        feed::Error::ForeignCursor => plain(
            Code::FailedPrecondition,
            Reason::CursorForeign,
            format!("{message}; begin anew with ORIGIN_SNAPSHOT"),
        ),
        feed::Error::CursorExpired { after, earliest } => {
            let about = metadata([
                ("sequence", after.to_string()),
                ("earliest_sequence", earliest.to_string()),
            ]);
            let message = format!("{message}; begin anew with ORIGIN_SNAPSHOT");
            out_of_range(Reason::CursorExpired, message, about)
        }
        feed::Error::FilterChanged => {
            let what =
                format!("{message}; give the same filter, or begin anew with ORIGIN_SNAPSHOT");
            invalid_field(Reason::InvalidCursor, "cursor", &what)
        }
        feed::Error::TimeInFuture => {
            let what = "is in the future; to get what comes from now on, use ORIGIN_NOW";
            invalid_field(Reason::InvalidRequest, "time", what)
        }
        feed::Error::CursorInFuture { cursor, head } => {
            let about = metadata([
                ("sequence", cursor.to_string()),
                ("head_sequence", head.to_string()),
            ]);
            let message = format!("{message}; check where the cursor came from");
            out_of_range(Reason::CursorInFuture, message, about)
        }
        feed::Error::SequenceTooFar { .. } => {
            invalid_field(Reason::InvalidRequest, "min_sequence", &message)
        }
        feed::Error::Store(error) => store(error),
    }
}

/// A sequence at which nobody knows any more what was.
#[must_use]
pub fn no_longer_kept(sequence: u64, earliest: u64) -> Status {
    let about = metadata([
        ("sequence", sequence.to_string()),
        ("earliest_sequence", earliest.to_string()),
    ]);
    let message =
        format!("history begins at {earliest} here, and what was at {sequence} is no longer kept");
    out_of_range(Reason::CursorExpired, message, about)
}

/// A cursor that stands where there is nothing to serve.
fn out_of_range(reason: Reason, message: String, about: HashMap<String, String>) -> Status {
    with(Code::OutOfRange, reason, message, about, |_| {})
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
