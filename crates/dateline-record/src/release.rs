//! The use that the sender of a record allows: now, from a given time on, not yet, or not any more.

use prost_types::Timestamp;
use time::{Duration, OffsetDateTime};

/// The use that the sender of a record allows, and the sender's note.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Release {
    /// The use.
    pub allowed: Allowed,
    /// For readers if the record is corrected or retracted; otherwise for editors.
    pub note: String,
}

/// The use that is allowed.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Allowed {
    /// Publish now.
    #[default]
    Now,
    /// Publish, but not before this time.
    From(Timestamp),
    /// Keep as a draft.
    Held {
        /// Reason for programs.
        reason: &'static str,
        /// Reason for people.
        why: String,
    },
    /// Do not use: an existing record is retracted.
    Canceled,
}

impl Allowed {
    /// True for an embargo that has not ended.
    #[must_use]
    pub fn is_under_embargo(&self, now: OffsetDateTime) -> bool {
        matches!(self, Self::From(time) if time.seconds >= now.unix_timestamp())
    }

    /// A use that is not allowed yet, with its reasons.
    #[must_use]
    pub fn held(reason: &'static str, why: &str) -> Self {
        Self::Held {
            reason,
            why: why.to_owned(),
        }
    }

    /// The use that an embargo allows. An embargo that ended over a day ago has ended by every clock; otherwise the
    /// time is kept, and the server's clock decides.
    #[must_use]
    pub fn until(embargo: Option<Timestamp>, now: OffsetDateTime) -> Self {
        let yesterday = (now - Duration::DAY).unix_timestamp();
        let embargo = embargo.filter(|time| time.seconds > yesterday);
        embargo.map_or(Self::Now, Self::From)
    }
}

/// An item of another publisher, with fields that the record does not hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemOrigin {
    /// An older name that its article may have: earlier releases derived names from headlines.
    pub earlier_name: String,
    /// The uid of the record, if the item is an export of a Dateline.
    pub uid: Option<String>,
}
