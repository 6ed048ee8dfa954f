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

mod actor;
mod articles;
mod dates;
mod drafts;
mod languages;
mod rng;
mod story;
mod text;
mod values;
// Lists of words are read by row.
#[rustfmt::skip]
mod phrases;


/// Records of a story, which are generated together.
pub const STORY_RECORDS: usize = story::RECORDS;

/// An infinite iterator over the records of a seed.
pub struct RecordGenerator {
    seed: u64,
    /// Number of the next story.
    next: u64,
    /// Remaining records of the current story.
    left: std::vec::IntoIter<Record>,
}

impl RecordGenerator {
    /// The records of this seed, starting with the first.
    pub fn new(seed: u64) -> Self {
        Self::from_story(seed, 0)
    }

    /// The records of this seed without the first `story` times [`STORY_RECORDS`], in constant time.
    pub fn from_story(seed: u64, story: u64) -> Self {
        Self {
            seed,
            next: story,
            left: Vec::new().into_iter(),
        }
    }
}

impl Iterator for RecordGenerator {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.left.len() == 0 {
            self.left = story::records(self.seed, self.next).into_iter();
            self.next += 1;
        }
        self.left.next()
    }
}
