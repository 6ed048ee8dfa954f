//! A record that was not taken, as a person and as a program hear of it.

use std::{fmt, io};

use serde::Serialize;

/// What is wrong with one field.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// Path from the record's root; empty if it is about the record as a whole.
    pub field: String,
    pub message: String,
}

impl Problem {
    pub(super) fn new(field: &str, message: &str) -> Self {
        Self {
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }
}

/// A record that was not taken, and why.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    /// The number of the line, or of the record in what has no lines; 0 if it is not known.
    pub line: u64,
    /// The same in words.
    pub place: String,
    /// Empty if it could not be read.
    pub name: String,
    /// From the contract's table, or `UNREADABLE`.
    pub reason: String,
    pub problems: Vec<Problem>,
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

impl Refusal {
    /// Writes a line of JSON per problem.
    ///
    /// # Errors
    /// When it cannot be written.
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

/// Something that a person should know of a record that was not refused.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    /// `not published`, `not taken over` …
    pub word: &'static str,
    /// True if somebody has to do something, so that the run is not done.
    pub is_open: bool,
    pub about: Refusal,
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about.write_as(out, self.word)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_as(out, "rejected")
    }
}

impl Refusal {
    fn write_as(&self, out: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let parts = [&self.place, &self.name, &problem.field, &problem.message];
            let parts = parts.into_iter().filter(|part| !part.is_empty());
            let told: Vec<_> = parts.map(String::as_str).collect();
            let end = if index == 0 { "" } else { "\n" };
            write!(out, "{end}{word}: {} [{}]", told.join(": "), self.reason)?;
        }
        Ok(())
    }
}
