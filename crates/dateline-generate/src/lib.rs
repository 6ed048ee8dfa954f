//! Synthetic records for tests and measurements: valid, publishable, of realistic sizes, with names in many scripts.
//! Pure: no I/O, no clock, and no randomness except from the seed.
//!
//! Promises:
//!
//! - A seed generates the same records forever; the first N of them do not depend on how many are requested.
//! - A record refers only to records before it, so that every prefix of the sequence can be published.
//! - Quotes occur in the cited articles at their offsets.
//! - Memory does not grow with the number of records: a record depends on the seed and its number alone.

use dateline_proto::v1::Record;

mod articles;
mod dates;
mod dispatch;
mod drafts;
mod draw;
mod figure;
mod languages;
mod pieces;
mod text;
// Lists of words are read by row.
#[rustfmt::skip]
mod tongues;


/// Records of a dispatch, which are generated together.
pub const DISPATCH: usize = dispatch::RECORDS;

/// An infinite iterator over the records of a seed.
pub struct Records {
    seed: u64,
    /// Number of the next dispatch.
    next: u64,
    /// Remaining records of the current dispatch.
    left: std::vec::IntoIter<Record>,
}

impl Records {
    /// The records of this seed, starting with the first.
    pub fn new(seed: u64) -> Self {
        Self::from_dispatch(seed, 0)
    }

    /// The records of this seed without the first `dispatch` times [`DISPATCH`], in constant time.
    pub fn from_dispatch(seed: u64, dispatch: u64) -> Self {
        Self {
            seed,
            next: dispatch,
            left: Vec::new().into_iter(),
        }
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.left.len() == 0 {
            self.left = dispatch::records(self.seed, self.next).into_iter();
            self.next += 1;
        }
        self.left.next()
    }
}
