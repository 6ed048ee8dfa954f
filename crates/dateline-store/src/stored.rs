//! Records as read from the store: stored bytes that need no decoding to be sent, for one view.

use bytes::Bytes;
use dateline_proto::v1::{Kind, RecordMeta, State};
use dateline_record::{
    name::Name,
    record::{name_only, record_bytes},
    sequence::Sequence,
    state::{is_tombstone, is_visible},
};
use prost::Message;

use super::{
    Error,
    columns::{kind, name, sequence, state},
    version::FeedVersion,
};

/// The view of a read, resolved when the request arrives: below that there is no "unspecified".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeedView {
    /// Published records, as readers see them.
    Wire,
    /// All records, as editors see them.
    Desk,
}

/// One revision of a record, as stored.
#[derive(Debug, Clone)]
pub struct StoredRecord {
    /// Name of the record.
    pub name: Name,
    /// Kind of the record.
    pub kind: Kind,
    /// State after the change that made this revision.
    pub state: State,
    /// Sequence of that change on the desk feed.
    pub desk_sequence: Sequence,
    /// Sequence of that change on the wire feed, if it is there.
    pub wire_sequence: Option<Sequence>,
    content: Vec<u8>,
    meta: Vec<u8>,
}

/// Records of several names that were read at once.
#[derive(Debug)]
pub struct FittingRecords {
    /// Those that fit, in the order of the names.
    pub records: Vec<StoredRecord>,
    /// The names of the rest.
    pub omitted: Vec<String>,
    /// The version at which they were read; `None` if there are none.
    pub version: Option<FeedVersion>,
}

/// The columns that make up a [`StoredRecord`].
#[derive(Debug, sqlx::FromRow)]
pub(super) struct RecordColumns {
    pub name: String,
    pub kind: String,
    pub state: String,
    pub desk_sequence: i64,
    pub wire_sequence: Option<i64>,
    pub content: Vec<u8>,
    pub meta: Vec<u8>,
}

impl TryFrom<RecordColumns> for StoredRecord {
    type Error = Error;

    fn try_from(columns: RecordColumns) -> Result<Self, Error> {
        Ok(Self {
            name: name(&columns.name)?,
            kind: kind(&columns.kind)?,
            state: state(&columns.state)?,
            desk_sequence: sequence(columns.desk_sequence)?,
            wire_sequence: columns.wire_sequence.map(sequence).transpose()?,
            content: columns.content,
            meta: columns.meta,
        })
    }
}

impl StoredRecord {
    pub(super) fn new(
        name: Name,
        state: State,
        desk_sequence: Sequence,
        wire_sequence: Option<Sequence>,
        content: Vec<u8>,
        meta: Vec<u8>,
    ) -> Self {
        Self {
            kind: name.kind(),
            name,
            state,
            desk_sequence,
            wire_sequence,
            content,
            meta,
        }
    }

    /// Returns the encoded `Record` for a view; `None` if it is not visible there. The only place that decides which
    /// parts of a record readers get (F10).
    #[must_use]
    pub fn encoded(&self, view: FeedView) -> Option<Bytes> {
        match view {
            FeedView::Desk => Some(record_bytes(
                self.kind,
                &self.content,
                &self.meta,
                self.desk_sequence.get(),
            )),
            FeedView::Wire if !is_visible(self.state) => None,
            FeedView::Wire => {
                let sequence = self.wire_sequence?.get();
                Some(if is_tombstone(self.state) {
                    record_bytes(
                        self.kind,
                        &name_only(self.name.as_str()),
                        &self.meta,
                        sequence,
                    )
                } else {
                    record_bytes(self.kind, &self.content, &self.meta, sequence)
                })
            }
        }
    }

    /// Returns the encoded `Record` with name and meta only, as editors see it.
    #[must_use]
    pub fn encoded_without_content(&self) -> Bytes {
        record_bytes(
            self.kind,
            &name_only(self.name.as_str()),
            &self.meta,
            self.desk_sequence.get(),
        )
    }

    /// Returns the same with only the part of the meta that does not grow with the record's history.
    #[must_use]
    pub fn encoded_short(&self) -> Bytes {
        let short = RecordMeta::decode(self.meta.as_slice()).map(|meta| RecordMeta {
            merged_from: Vec::new(),
            corrections: Vec::new(),
            ..meta
        });
        record_bytes(
            self.kind,
            &name_only(self.name.as_str()),
            &short.unwrap_or_default().encode_to_vec(),
            self.desk_sequence.get(),
        )
    }

    /// Returns the content that a view shows, without meta; `None` if there is none, as for a tombstone.
    pub(super) fn shown_content(&self, view: FeedView) -> Option<&[u8]> {
        let is_shown = match view {
            FeedView::Desk => true,
            FeedView::Wire => is_visible(self.state) && !is_tombstone(self.state),
        };
        is_shown.then_some(self.content.as_slice())
    }

    /// Returns the bytes of content and meta, which is about the size of the encoded record.
    #[must_use]
    pub fn len(&self) -> usize {
        self.content.len() + self.meta.len()
    }

    /// Returns false: a record has at least a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
