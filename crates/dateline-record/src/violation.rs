//! What is wrong with a request, or looks wrong, in words for the person who has to put it right.

/// One thing that is wrong, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path from the root of the request, down to the list element: `record.event.participants[3].role`.
    pub field: String,
    /// What is wrong and what would be right.
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

/// Something that a person should look at, although it may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Path from the root of the request, like that of a violation.
    pub field: String,
    /// For programs: `DANGLING_REFERENCE`, `SIMILAR_RECORD` … A reason never changes its meaning.
    pub reason: &'static str,
    /// What looks wrong, and what could be done.
    pub description: String,
    /// Names of the records that it is about, if any.
    pub records: Vec<String>,
}

/// Most violations that an answer lists: past that, the sender has other worries than the rest. As many
/// warnings.
const MAX_FINDINGS: usize = 100;

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is wrong: with any of these, nothing is written (W6).
    pub violations: Vec<Violation>,
    /// What only looks wrong.
    pub warnings: Vec<Warning>,
}

impl Findings {
    /// Adds what is wrong.
    pub fn refuse(&mut self, field: impl std::fmt::Display, description: impl Into<String>) {
        if !self.is_full() {
            self.violations.push(Violation::new(field, description));
        }
    }

    /// Adds what only looks wrong.
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
            });
        }
    }

    /// Whether no more violations are listed, so that none need be looked for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.violations.len() >= MAX_FINDINGS
    }
}
