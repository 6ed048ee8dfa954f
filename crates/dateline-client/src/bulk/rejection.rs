//! Records that were refused, and notices about others.

use std::fmt;

use tonic::Code;

use crate::Failure;

/// An error of one field.
#[derive(Debug, Clone)]
pub struct FieldProblem {
    /// Path from the record's root; empty for an error of the record as a whole.
    pub field: String,
    /// The problem.
    pub message: String,
}

impl FieldProblem {
    /// A problem of a field.
    #[must_use]
    pub fn new(field: &str, message: &str) -> Self {
        Self {
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// A refused record and its errors.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// Number of the line, or of the record in a file without lines; 0 if unknown.
    pub line: u64,
    /// Position for messages.
    pub position: String,
    /// Empty if the record could not be read.
    pub name: String,
    /// A reason of the contract, or `UNREADABLE`.
    pub reason: String,
    /// The errors.
    pub problems: Vec<FieldProblem>,
}

/// A notice about a record that was not refused.
#[derive(Debug, Clone)]
pub struct Notice {
    /// `not published`, `not taken over` …
    pub word: &'static str,
    /// True if somebody has to act, so that the run is incomplete.
    pub is_open: bool,
    /// The record, and the reasons.
    pub about: Rejection,
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about.write_as(out, self.word)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_as(out, "rejected")
    }
}

impl Rejection {
    fn write_as(&self, out: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let parts = [&self.position, &self.name, &problem.field, &problem.message];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            let parts_text: Vec<_> = parts.map(String::as_str).collect();
            let end = if index == 0 { "" } else { "\n" };
            write!(
                out,
                "{end}{word}: {} [{}]",
                parts_text.join(": "),
                self.reason
            )?;
        }
        Ok(())
    }
}

/// True if the failure is caused by the records and not by the server.
pub(super) fn is_about_records(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted
    ) || failure.reason == "MESSAGE_TOO_LARGE"
}
