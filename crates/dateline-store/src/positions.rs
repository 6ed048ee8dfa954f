//! Positions in both feeds at once. Knows nothing of what is there.

use dateline_record::sequence::Sequence;

use super::stored::FeedView;

/// A sequence of each feed: their heads, or the oldest sequences that are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Positions {
    /// Sequence of the desk feed.
    pub desk: Sequence,
    /// Sequence of the wire feed.
    pub wire: Sequence,
}

impl Positions {
    /// Returns the sequence of a view's feed.
    #[must_use]
    pub fn in_view(self, view: FeedView) -> Sequence {
        match view {
            FeedView::Desk => self.desk,
            FeedView::Wire => self.wire,
        }
    }
}
