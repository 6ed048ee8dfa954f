//! Sequences: the numbers of the changes of a feed, dense and ascending. Knows nothing of feeds and views.

use std::fmt;

/// A sequence of a feed. The first change has 1; 0 is the position before it. Databases and messages hold it as `i64`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The position before the first change.
    pub const ZERO: Self = Self(0);
    /// The sequence of the first change.
    pub const FIRST: Self = Self(1);
    /// Above every sequence that there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns a sequence by its number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number of a column or message; `None` if it is negative.
    #[must_use]
    pub fn from_i64(number: i64) -> Option<Self> {
        u64::try_from(number).ok().map(Self)
    }

    /// Returns the number for a column or message. A number above all that there can be becomes the largest one.
    #[must_use]
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the sequence of the next change.
    #[must_use]
    pub const fn next(self) -> Self {
        self.saturating_add(1)
    }

    /// Returns the position before this change.
    #[must_use]
    pub const fn previous(self) -> Self {
        self.saturating_sub(1)
    }

    /// Returns the sequence so many changes later.
    #[must_use]
    pub const fn saturating_add(self, changes: u64) -> Self {
        Self(self.0.saturating_add(changes))
    }

    /// Returns the sequence so many changes earlier, at least [`Sequence::ZERO`].
    #[must_use]
    pub const fn saturating_sub(self, changes: u64) -> Self {
        Self(self.0.saturating_sub(changes))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_every_sequence_and_none_is_negative() {
        assert_eq!(Sequence::from_i64(-1), None);
        for number in [0, 1, i64::MAX] {
            assert_eq!(
                Sequence::from_i64(number).map(Sequence::to_i64),
                Some(number)
            );
        }
        assert_eq!(Sequence::MAX.to_i64(), i64::MAX);
    }

    #[test]
    fn there_is_nothing_before_the_beginning_and_nothing_after_the_end() {
        assert_eq!(Sequence::FIRST.previous(), Sequence::ZERO);
        assert_eq!(Sequence::ZERO.previous(), Sequence::ZERO);
        assert_eq!(Sequence::MAX.next(), Sequence::MAX);
    }
}
