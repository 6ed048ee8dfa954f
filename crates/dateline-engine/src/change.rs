//! What a request comes to: new revisions of records, with everything that is stored or told of them. Knows
//! no rule; those are in `step` and beside it.

use dateline_proto::v1::{
    Kind, RecordMeta, State, change::Type as ChangeType, record::Kind as Body,
};
use dateline_record::{
    digest::{Tally, WORDS, record_words},
    drawing::Drawing,
    edtf::Bounds,
    name::Name,
    state::is_visible,
    violation::Warning,
};
use prost::Message;
use uuid::Uuid;

use super::world::NoteCopy;

/// The next revision of a record.
#[derive(Debug, Clone)]
pub struct Change {
    /// The record.
    pub name: Name,
    /// Its identity over all revisions.
    pub uid: Uuid,
    /// What happened.
    pub change_type: ChangeType,
    /// Number of the new revision.
    pub revision: i64,
    /// State after the change.
    pub state: State,
    /// State before it; `None` for a new record.
    pub state_before: Option<State>,
    /// Encoded message of the kind, without meta.
    pub content: Vec<u8>,
    /// Without sequence.
    pub meta: RecordMeta,
    /// The same content with access to fields.
    pub body: Body,
    /// What is drawn from the new revision.
    pub drawing: Drawing,
    /// Facets of the revision before.
    pub facets_before: Vec<String>,
    /// Days of the revision before.
    pub days_before: Option<Bounds>,
    /// Top-level fields that changed.
    pub changed_fields: Vec<String>,
    /// Public note.
    pub note: String,
    /// Whether the content, and so what it refers to, may differ from the revision before.
    pub has_new_content: bool,
    /// What the revision before adds to a digest that counts it.
    pub words_before: Option<[u32; WORDS]>,
}

impl Change {
    /// Kind of the record.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.name.kind()
    }

    /// Whether readers see anything of this change.
    #[must_use]
    pub fn is_on_wire(&self) -> bool {
        is_visible(self.state) || self.state_before.is_some_and(is_visible)
    }

    /// Whether nothing is left of the record but its name: a deleted draft, or an erased one.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self.change_type {
            ChangeType::Deleted => true,
            ChangeType::Purged => !is_visible(self.state),
            _ => false,
        }
    }

    /// What this change takes out of the tally of a view, and what it adds.
    #[must_use]
    pub fn tally(&self, counts: impl Fn(State) -> bool) -> Tally {
        let mut tally = Tally::default();
        if let (Some(state), Some(words)) = (self.state_before, &self.words_before)
            && counts(state)
        {
            tally.remove(words);
        }
        if counts(self.state) && !self.is_gone() {
            tally.add(&record_words(self.revision, [self.content.as_slice()]));
        }
        tally
    }

    /// Stored form of the meta: without sequence, which depends on the feed that is read.
    #[must_use]
    pub fn meta_bytes(&self) -> Vec<u8> {
        self.meta.encode_to_vec()
    }
}

/// What one write comes to.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum Outcome {
    /// A new revision.
    Changed(Change),
    /// The record is already as the write wants it; no revision is made.
    Unchanged(Name, i64),
}

impl Outcome {
    /// The new revision, if there is one.
    #[must_use]
    pub fn change(&self) -> Option<&Change> {
        match self {
            Outcome::Changed(change) => Some(change),
            Outcome::Unchanged(..) => None,
        }
    }
}

/// What a request comes to.
#[derive(Debug, Clone)]
pub struct Decision {
    /// In the order of the writes; then what changes with them.
    pub outcomes: Vec<Outcome>,
    /// What must not have moved when it is written.
    pub seen: Seen,
    /// What looks wrong although it is stored.
    pub warnings: Vec<Warning>,
    /// Revisions of other records that lose their note, for it was also that of a record that is erased (W11).
    pub blanked: Vec<NoteCopy>,
}

/// What a decision rests on (its read set).
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Every record that was looked at, with the revision that was seen; 0 where there was none.
    pub revisions: Vec<(Name, i64)>,
    /// Articles, with the number of published records that cite each of them as evidence.
    pub citing: Vec<(Name, i64)>,
}
