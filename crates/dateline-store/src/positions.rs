//! Positions in both feeds at once. Knows nothing of what is there.

use super::stored::FeedView;

/// A sequence of each feed: their heads, or the oldest sequences that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Positions {
    /// Sequence of the desk feed.
    pub desk: u64,
    /// Sequence of the wire feed.
    pub wire: u64,
}

impl Positions {
    /// Returns the sequence of a view's feed.
    #[must_use]
    pub fn of(self, view: FeedView) -> u64 {
        match view {
            FeedView::Desk => self.desk,
            FeedView::Wire => self.wire,
        }
    }
}
