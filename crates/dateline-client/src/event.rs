//! An event of a feed.

use dateline_proto::v1::{Change, Checkpoint, Record};

/// An event of a stream.
#[derive(Debug, Clone)]
pub enum Event {
    /// A record of the snapshot.
    Record(Box<Record>),
    /// A change.
    Change(Box<Change>),
    /// Nothing more up to this sequence; with `caught_up` the snapshot is complete.
    Checkpoint(Checkpoint),
}
