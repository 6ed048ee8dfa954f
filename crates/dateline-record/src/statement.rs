//! The statement of a change on the wire: a text that says what readers got, and the commitment to it. The text has
//! fixed lines in a fixed order, so that every language can build it; without its salt nobody can guess it from the
//! commitment.

use std::fmt::Write as _;

use dateline_proto::v1::{Kind, State, change::Type as ChangeType};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{index::state_facet, name::kind_label, revision::Revision};

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// A change on the wire as readers get it.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// Id of the feed, as text.
    pub feed: &'a str,
    /// Name of the record.
    pub name: &'a str,
    /// Kind of the record.
    pub kind: Kind,
    /// Type of the change.
    pub change_type: ChangeType,
    /// State after the change.
    pub state: State,
    /// Number of the revision.
    pub revision: Revision,
    /// Wire sequence of the record's change before this one.
    pub previous: Option<i64>,
    /// Time at which the service accepted the change, in UTC.
    pub accepted_at: OffsetDateTime,
    /// Public note.
    pub note: &'a str,
    /// Top-level fields that changed.
    pub changed_fields: &'a [String],
    /// Name of the record that it was merged into; empty for others.
    pub merged_into: &'a str,
    /// Encoded message of the kind without meta; of a tombstone, of the name only.
    pub content: &'a [u8],
    /// Encoded meta without sequence.
    pub meta: &'a [u8],
    /// Random bytes.
    pub salt: &'a [u8; SALT_BYTES],
}

impl Statement<'_> {
    /// Returns the text. A value that is absent is empty.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "dateline.v1/statement\n".to_owned();
        let mut line = |key: &str, value: &str| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{key} {value}");
        };
        line("feed", self.feed);
        line("name", self.name);
        line("kind", kind_label(self.kind));
        let change_type = self.change_type.as_str_name();
        line("type", change_type.trim_start_matches("TYPE_"));
        line("state", &state_facet(self.state));
        line("revision", &self.revision.get().to_string());
        let previous = self.previous.map(|sequence| sequence.to_string());
        line("previous", &previous.unwrap_or_default());
        line("time", &time(self.accepted_at));
        let note = (!self.note.is_empty()).then(|| hash(self.note.as_bytes()));
        line("note", &note.unwrap_or_default());
        line("changed", &self.changed_fields.join(","));
        line("merged-into", self.merged_into);
        line("content", &hash(self.content));
        line("meta", &hash(self.meta));
        line("salt", &hex(self.salt));
        text
    }

    /// Returns the commitment: SHA-256 of the text.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        Sha256::digest(self.text()).into()
    }
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Returns a time in UTC, always with six digits of a second.
fn time(at: OffsetDateTime) -> String {
    let (date, clock) = (at.date(), at.time());
    let (hour, minute, second, micro) = clock.as_hms_micro();
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z")
}
