//! Errors for a person to read: the server's message, then each field or record concerned.

use std::fmt;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::is_connection_broken;

/// A call that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The gRPC code; UNAVAILABLE when no server was reached.
    pub code: Code,
    /// `ErrorInfo.reason`; empty if the response had none.
    pub reason: String,
    message: String,
    details: Vec<(String, String)>,
}

impl Failure {
    pub(super) fn unreachable(server: &str, error: &tonic::transport::Error) -> Self {
        let cause = innermost(error);
        if cause.contains("corrupt message") {
            let message = format!(
                "the server at {server} does not speak TLS; say http:// if it is meant to be without, and no --ca nor --client-cert"
            );
            return Self::local(Code::Unavailable, &message);
        }
        if cause.contains("certificate") {
            let message = format!(
                "the server at {server} is not to be believed ({cause}); name the authority of its certificate with --ca"
            );
            return Self::local(Code::Unavailable, &message);
        }
        Self {
            code: Code::Unavailable,
            reason: String::new(),
            message: format!(
                "no server answers at {server} ({cause}); start one with `dateline serve`, or name another with --server"
            ),
            details: Vec::new(),
        }
    }

    /// Names that match no record, found before the request was sent.
    #[must_use]
    pub fn records_not_found(names: &[String]) -> Self {
        Self {
            code: Code::NotFound,
            reason: "RECORD_NOT_FOUND".to_owned(),
            message: format!("there is no record {}", names.join(", ")),
            details: Vec::new(),
        }
    }

    /// A replica that differs from its feed.
    #[cfg(feature = "verify")]
    pub(super) fn replica_differs(message: &str) -> Self {
        Self::local(Code::DataLoss, message)
    }

    /// A request for a proof that does not select enough of the feed.
    #[cfg(feature = "verify")]
    pub(super) fn cannot_verify(message: &str) -> Self {
        Self::local(Code::InvalidArgument, message)
    }

    /// A server that breaks the promised order (F1).
    pub(super) fn out_of_order(what: &str) -> Self {
        let message = format!("the server broke the order of the feed: {what}; report it");
        Self::local(Code::DataLoss, &message)
    }

    /// Settings that cannot be used.
    pub(super) fn invalid_settings(message: &str) -> Self {
        Self::local(Code::InvalidArgument, message)
    }

    fn local(code: Code, message: &str) -> Self {
        Self {
            code,
            reason: String::new(),
            message: message.to_owned(),
            details: Vec::new(),
        }
    }

    pub(super) fn unsupported_scheme(server: &str) -> Self {
        let message = format!(
            "{server} is not the address of a server; write HOST:PORT, http://HOST:PORT or, for TLS, https://HOST:PORT"
        );
        Self::local(Code::InvalidArgument, &message)
    }

    pub(super) fn invalid_address(server: &str) -> Self {
        Self {
            code: Code::InvalidArgument,
            reason: String::new(),
            message: format!("{server} is not the address of a server, such as 127.0.0.1:7400"),
            details: Vec::new(),
        }
    }

    /// The connection broke before the response arrived.
    fn connection_lost(status: &Status) -> Self {
        let cause = std::error::Error::source(status)
            .map_or_else(|| status.message().to_owned(), innermost);
        // A server of another protocol: its bytes are read as a frame that is too long.
        if cause.contains("frame with invalid size") {
            let message = "what answers there does not speak gRPC in plain text; with TLS say https://HOST:PORT, \
                           otherwise check host and port";
            return Self::local(Code::Unavailable, message);
        }
        Self {
            code: Code::Unavailable,
            reason: String::new(),
            // The error of a wrong protocol depends on timing.
            message: format!(
                "the connection to the server was lost ({cause}); with TLS say https://HOST:PORT"
            ),
            details: Vec::new(),
        }
    }
}

impl Failure {
    /// The message, one sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Fields or records, each with its problem, as reported by the server.
    #[must_use]
    pub fn details(&self) -> &[(String, String)] {
        &self.details
    }

    /// Renames the fields in the details, from those of the request to those of the user's input.
    #[must_use]
    pub fn map_fields(mut self, map: impl Fn(&str) -> String) -> Self {
        for (about, what) in &mut self.details {
            let renamed = map(about);
            if !about.is_empty() && self.message.starts_with(about.as_str()) {
                self.message = format!("{renamed}: {what}");
            }
            *about = renamed;
        }
        self
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if is_connection_broken(&status) {
            return Self::connection_lost(&status);
        }
        let found = status.get_error_details();
        let mut details = Vec::new();
        if let Some(request) = found.bad_request() {
            let violations = request.field_violations.iter();
            details.extend(
                violations
                    .map(|violation| (violation.field.clone(), violation.description.clone())),
            );
        }
        if let Some(precondition) = found.precondition_failure() {
            let violations = precondition.violations.iter();
            details.extend(
                violations
                    .map(|violation| (violation.subject.clone(), violation.description.clone())),
            );
        }
        let info = found.error_info();
        if let Some(fields) = info
            .and_then(|info| info.metadata.get("changed_paths"))
            .filter(|fields| !fields.is_empty())
        {
            details.push(("changed since".to_owned(), fields.replace(',', ", ")));
        }
        Self {
            code: status.code(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            message: status.message().to_owned(),
            details,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A single detail is already in the message.
        let message = if self.details.len() > 1 && self.code == Code::InvalidArgument {
            format!("{} fields are not valid", self.details.len())
        } else {
            self.message.clone()
        };
        out.write_str(&message)?;
        if !self.reason.is_empty() {
            write!(out, " [{}]", self.reason)?;
        }
        if self.details.len() > 1 || self.code != Code::InvalidArgument {
            for (about, what) in &self.details {
                match about.as_str() {
                    "" => write!(out, "\n  {what}")?,
                    about => write!(out, "\n  {about}: {what}")?,
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
