//! Records that were refused, for messages and for the file of rejects.

use std::{fmt, io};

use serde::Serialize;

/// An error of one field.
#[derive(Debug, Clone)]
pub(super) struct FieldProblem {
    /// Path from the record's root; empty for an error of the record as a whole.
    pub field: String,
    pub message: String,
}

impl FieldProblem {
    pub(super) fn new(field: &str, message: &str) -> Self {
        Self {
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// A refused record and its errors.
#[derive(Debug, Clone)]
pub(super) struct Rejection {
    /// Number of the line, or of the record in a file without lines; 0 if unknown.
    pub line: u64,
    /// Position for messages.
    pub position: String,
    /// Empty if the record could not be read.
    pub name: String,
    /// A reason of the contract, or `UNREADABLE`.
    pub reason: String,
    pub problems: Vec<FieldProblem>,
}

/// A line of the file of rejects.
#[derive(Serialize)]
struct Row<'a> {
    line: u64,
    name: &'a str,
    field: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Rejection {
    /// Writes one line of JSON per problem.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        for problem in &self.problems {
            let row = Row {
                line: self.line,
                name: &self.name,
                field: &problem.field,
                reason: &self.reason,
                message: &problem.message,
            };
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}

/// A notice about a record that was not refused.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    /// `not published`, `not taken over` …
    pub word: &'static str,
    /// True if somebody has to act, so that the run is incomplete.
    pub is_open: bool,
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
