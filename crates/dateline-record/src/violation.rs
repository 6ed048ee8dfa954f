//! Violations and warnings of a request, worded for the person who has to correct it.

use dateline_proto::v1::MatchCandidate;

/// One violation, at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path from the root of the request, down to the list element: `record.event.participants[3].role`.
    pub field: String,
    /// The fault and the correct form.
    pub description: String,
}

impl Violation {
    /// A violation at a path.
    pub fn new(field: impl std::fmt::Display, description: impl Into<String>) -> Self {
        Self {
            field: field.to_string(),
            description: description.into(),
        }
    }
}

/// A fact that a person should check, although it may be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// Path from the root of the request, like that of a violation.
    pub field: String,
    /// Reason for programs: `DANGLING_REFERENCE`, `SIMILAR_RECORD` … A reason never changes its meaning.
    pub reason: &'static str,
    /// The concern, and a possible action.
    pub description: String,
    /// Names of the other records concerned, if any.
    pub records: Vec<String>,
    /// The same records with their scores, if they were compared.
    pub candidates: Vec<MatchCandidate>,
}

/// Most violations that a response lists, and most warnings; past that, more would not help the sender.
const MAX_FINDINGS: usize = 100;

/// The findings of a check.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    /// Violations: with any of these, nothing is written (W6).
    pub violations: Vec<Violation>,
    /// Warnings.
    pub warnings: Vec<Warning>,
}

impl Findings {
    /// Adds a violation.
    pub fn refuse(&mut self, field: impl std::fmt::Display, description: impl Into<String>) {
        if !self.is_full() {
            self.violations.push(Violation::new(field, description));
        }
    }

    /// Adds a warning.
    pub fn warn(
        &mut self,
        field: impl std::fmt::Display,
        reason: &'static str,
        description: impl Into<String>,
    ) {
        if self.warnings.len() < MAX_FINDINGS {
            self.warnings.push(Warning {
                field: field.to_string(),
                reason,
                description: description.into(),
                records: Vec::new(),
                candidates: Vec::new(),
            });
        }
    }

    /// True if no more violations are listed, so that none need be searched for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.violations.len() >= MAX_FINDINGS
    }
}
