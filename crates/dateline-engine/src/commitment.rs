//! The commitment of a change on the wire: what the log keeps for ever of what readers were told.

use dateline_proto::v1::State;
use dateline_record::{
    record::name_only,
    statement::{SALT_BYTES, Statement},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::change::Change;

/// A salt, and the commitment to the statement that it completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    /// Random bytes, which an erasure deletes.
    pub salt: [u8; SALT_BYTES],
    /// SHA-256 of the statement.
    pub commitment: [u8; 32],
}

impl Commitment {
    /// Returns the commitment of a change that was accepted at a time; `None` if readers see nothing of it. Nothing but
    /// its numbers on the feeds is missing in the statement, and those are given later.
    #[must_use]
    pub fn new(
        change: &Change,
        feed: Uuid,
        accepted_at: OffsetDateTime,
        salt: [u8; SALT_BYTES],
    ) -> Option<Self> {
        if !change.is_on_wire() {
            return None;
        }
        let name = change.name.as_str();
        // Readers get the content of what is published, and the name of everything else.
        let tombstone = name_only(name);
        let is_shown = change.state == State::Published;
        let statement = Statement {
            feed: &feed.to_string(),
            name,
            kind: change.kind(),
            change_type: change.change_type,
            state: change.state,
            revision: change.revision,
            previous: change.previous,
            accepted_at,
            note: &change.note,
            changed_fields: &change.changed_fields,
            merged_into: &change.meta.merged_into,
            content: if is_shown {
                &change.content
            } else {
                &tombstone
            },
            meta: &change.meta_bytes(),
            salt: &salt,
        };
        let commitment = statement.commitment();
        Some(Self { salt, commitment })
    }
}
