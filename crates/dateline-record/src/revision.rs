//! Revisions: the numbers of the states of one record, dense and ascending. Knows nothing of what a revision holds.

use std::fmt;

/// A revision of a record. The first has 1; 0 stands for a record that does not exist. Databases and messages hold it as
/// `i64`; a number that came from outside may be any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl Revision {
    /// The revision of a record that does not exist.
    pub const NONE: Self = Self(0);
    /// The revision of a new record.
    pub const FIRST: Self = Self(1);

    /// Returns a revision by the number of a column or message.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number for a column or message.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns the revision that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the revision before; [`Revision::NONE`] before the first.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}
