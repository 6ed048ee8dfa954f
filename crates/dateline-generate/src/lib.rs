//! Synthetic records for tests and measurements: valid, publishable, of realistic sizes, with names in many scripts.
//! Pure: no I/O, no clock, and nothing random but what the seed says.
//!
//! What is promised:
//!
//! - The same seed generates the same records for ever; the first N of them are the same, however many are asked for.
//! - A record refers only to records before it, so that every beginning of the sequence can be published.
//! - Quotes stand in the articles that they cite, where they say they stand.
//! - Memory does not grow with the number of records: a record is told by the seed and its number.

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


/// Records that are made together.
pub const DISPATCH: usize = dispatch::RECORDS;

/// The records of a seed, without an end.
pub struct Records {
    seed: u64,
    /// The next dispatch.
    next: u64,
    /// What is left of the one before.
    left: std::vec::IntoIter<Record>,
}

impl Records {
    /// The records of this seed, from the first one on.
    pub fn new(seed: u64) -> Self {
        Self::from_dispatch(seed, 0)
    }

    /// The same without the first so many times [`DISPATCH`], which takes no time.
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
