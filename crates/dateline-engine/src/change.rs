//! The result of a request: new revisions of records, with everything that is stored or answered. Holds no rules; those
//! are in `step` and the modules beside it.

use dateline_proto::v1::{
    Kind, RecordMeta, State, change::Type as ChangeType, record::Kind as Body,
};
use dateline_record::{
    digest::{LANES, Tally, record_lanes},
    edtf::Bounds,
    index::IndexTerms,
    name::Name,
    revision::Revision,
    state::is_visible,
    violation::Warning,
};
use prost::Message;
use uuid::Uuid;

use super::read_view::NoteCopy;

/// The next revision of a record.
#[derive(Debug, Clone)]
pub struct Change {
    /// Name of the record.
    pub name: Name,
    /// Its identity over all revisions.
    pub uid: Uuid,
    /// Type of the change.
    pub change_type: ChangeType,
    /// Number of the new revision.
    pub revision: Revision,
    /// State after the change.
    pub state: State,
    /// State before it; `None` for a new record.
    pub state_before: Option<State>,
    /// Encoded message of the kind, without meta.
    pub content: Vec<u8>,
    /// Meta of the new revision, without sequence.
    pub meta: RecordMeta,
    /// The same content with access to fields.
    pub body: Body,
    /// Index data extracted from the new revision: facets, references, days and keys.
    pub terms: IndexTerms,
    /// Facets of the revision before.
    pub facets_before: Vec<String>,
    /// Days of the revision before.
    pub days_before: Option<Bounds>,
    /// Top-level fields that changed.
    pub changed_fields: Vec<String>,
    /// Public note.
    pub note: String,
    /// True if the content, and so its references, may differ from the revision before.
    pub has_new_content: bool,
    /// Sequence of the record's change before this one on the wire feed.
    pub previous: Option<i64>,
    /// Digest lanes of the revision before, for views that counted it.
    pub lanes_before: Option<[u32; LANES]>,
}

impl Change {
    /// Returns the kind of the record.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.name.kind()
    }

    /// True if the change is on the wire feed.
    #[must_use]
    pub fn is_on_wire(&self) -> bool {
        is_visible(self.state) || self.state_before.is_some_and(is_visible)
    }

    /// True if only the name is left of the record: a deleted draft, or an erased record that readers never saw.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self.change_type {
            ChangeType::Deleted => true,
            ChangeType::Purged => !is_visible(self.state),
            _ => false,
        }
    }

    /// True if the change has content that a client sent, as a whole or in part.
    #[must_use]
    pub fn has_written_content(&self) -> bool {
        self.has_new_content && self.change_type != ChangeType::Purged
    }

    /// True if the log points at the row that has the content, instead of storing it again. An erasure has content of its
    /// own: it replaces that of the rows before.
    #[must_use]
    pub fn keeps_content(&self) -> bool {
        !self.has_new_content && self.change_type != ChangeType::Purged
    }

    /// Returns the change of a view's tally: removes the revision before and adds the new one, each if the view counts
    /// its state.
    #[must_use]
    pub fn tally(&self, counts: impl Fn(State) -> bool) -> Tally {
        let mut tally = Tally::default();
        if let (Some(state), Some(lanes)) = (self.state_before, &self.lanes_before)
            && counts(state)
        {
            tally.remove(lanes);
        }
        if counts(self.state) && !self.is_gone() {
            tally.add(&record_lanes(self.revision, [self.content.as_slice()]));
        }
        tally
    }

    /// Returns the stored form of the meta: without sequence, which depends on the feed that is read.
    #[must_use]
    pub fn meta_bytes(&self) -> Vec<u8> {
        self.meta.encode_to_vec()
    }
}

/// The result of one write.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum Outcome {
    /// A new revision.
    Changed(Change),
    /// The record is already as the write requests it; no revision is made. Holds its present revision.
    Unchanged(Name, Revision),
}

impl Outcome {
    /// Returns the new revision, if there is one.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self {
            Outcome::Changed(change) => Some(change),
            Outcome::Unchanged(..) => None,
        }
    }
}

/// The result of a request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Outcomes in the order of the writes, followed by further changes that they cause.
    pub outcomes: Vec<Outcome>,
    /// The read set, which must be unchanged when the decision is written.
    pub read_set: ReadSet,
    /// Warnings about data that is stored nevertheless.
    pub warnings: Vec<Warning>,
    /// Revisions of other records whose note is redacted, because it was also the note of a record that is erased
    /// (W11).
    pub redacted_notes: Vec<NoteCopy>,
}

/// The read set of a decision.
#[derive(Debug, Clone, Default)]
pub struct ReadSet {
    /// Every record that was read, with its revision; [`Revision::NONE`] for a record that does not exist.
    pub revisions: Vec<(Name, Revision)>,
    /// Articles, with the number of published records that cite each of them as evidence.
    pub citing: Vec<(Name, i64)>,
}
