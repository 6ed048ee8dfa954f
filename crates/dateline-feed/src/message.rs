//! Contents of responses: changes or records, filled up to a size. A response holds whole batches, or part of one batch
//! and nothing else (F3).

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use dateline_proto::v1::Removal;
use dateline_record::{
    filter::Filter,
    record::{delimited_len, delimiter},
};
use dateline_store::{Entry, Gone, Mark, Resolved, View};
use prost::Message as _;

use super::batch::Batch;

/// Bytes after which a message is sent, unless one change alone is larger. A stream whose client does not read holds
/// one message in the transport.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Field of `WatchResponse.records`.
const RECORDS_FIELD: u32 = 4;
/// Field of `ExportResponse.records`.
const EXPORTED_FIELD: u32 = 1;
/// Field of `ExportResponse.removed`.
const REMOVED_FIELD: u32 = 2;
/// Field of `ExportResponse.references`.
const REFERENCES_FIELD: u32 = 6;

/// A response before it is encoded.
#[derive(Debug)]
pub(super) struct Message {
    /// Bytes of `WatchResponse` fields.
    pub pieces: Vec<Bytes>,
    /// Position after the message.
    pub content: Content,
}

/// Position after a message.
#[derive(Debug)]
pub(super) enum Content {
    /// Position of the last change up to here, whether it matched or not.
    Changes { last: Mark },
    /// Last name of the records.
    Records { last: String },
}

/// Packs batches into messages.
#[derive(Debug, Default)]
pub(super) struct Packing {
    done: Vec<Message>,
    pieces: Vec<Bytes>,
    bytes: usize,
    last: Mark,
}

impl Packing {
    /// Adds the changes of a batch that a stream at `after` gets.
    pub fn batch(&mut self, batch: &Batch, after: u64, filter: &Filter) {
        let whole = batch.whole(after, filter);
        if let Some(whole) = whole.filter(|whole| whole.len() <= MESSAGE_BYTES) {
            self.add(vec![whole], batch.mark());
            return;
        }
        let changes = batch.select(after, filter);
        let bytes: usize = changes.iter().map(|change| change.bytes.len()).sum();
        if bytes > MESSAGE_BYTES {
            self.send();
            for change in changes {
                self.add(vec![change.bytes], change.mark);
            }
            // After the last part the position is the end of the batch, matching or not.
            self.last = batch.mark();
            self.send();
        } else if !changes.is_empty() {
            let pieces = changes.into_iter().map(|change| change.bytes).collect();
            self.add(pieces, batch.mark());
        }
    }

    /// Returns all messages.
    pub fn finish(mut self) -> Vec<Message> {
        self.send();
        self.done
    }

    fn add(&mut self, pieces: Vec<Bytes>, last: Mark) {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if self.bytes + bytes > MESSAGE_BYTES {
            self.send();
        }
        self.pieces.extend(pieces);
        self.bytes += bytes;
        self.last = last;
    }

    fn send(&mut self) {
        if !self.pieces.is_empty() {
            self.done.push(Message {
                pieces: std::mem::take(&mut self.pieces),
                content: Content::Changes { last: self.last },
            });
        }
        self.bytes = 0;
    }
}

/// Packs records of a snapshot into messages.
pub(super) fn records(entries: &[Entry], view: View) -> Vec<Message> {
    let mut filling = Filling::default();
    for entry in entries {
        if let Entry::Record(record) = entry
            && let Some(encoded) = record.encoded(view)
        {
            filling.add(entry, field(RECORDS_FIELD, encoded), &Resolved::default());
        }
    }
    filling.messages
}

/// Packs records and removals of an export into messages, each with the references of its records.
pub(super) fn exported(entries: &[Entry], resolved: &Resolved, view: View) -> Vec<Message> {
    let mut filling = Filling::default();
    for entry in entries {
        let encoded = match entry {
            Entry::Record(record) => record.encoded(view).map(|it| field(EXPORTED_FIELD, it)),
            Entry::Gone(gone) => {
                let encoded = removal(gone).encode_to_vec();
                Some(field(REMOVED_FIELD, encoded.into()))
            }
        };
        if let Some(encoded) = encoded {
            filling.add(entry, encoded, resolved);
        }
    }
    filling.messages
}

fn removal(gone: &Gone) -> Removal {
    Removal {
        name: gone.name.to_string(),
        r#type: gone.why.into(),
        merged_into: gone.merged_into.clone().unwrap_or_default(),
    }
}

/// Encodes a field around its encoded value.
fn field(number: u32, encoded: Bytes) -> Vec<Bytes> {
    let bytes = delimited_len(number, encoded.len());
    let mut head = BytesMut::with_capacity(bytes - encoded.len());
    delimiter(number, encoded.len(), &mut head);
    vec![head.freeze(), encoded]
}

/// Messages while they are filled.
#[derive(Debug, Default)]
struct Filling {
    messages: Vec<Message>,
    room: usize,
    /// Names whose references the last message holds.
    told: HashSet<String>,
}

impl Filling {
    /// Adds an entry to the last message, or to a new one if it does not fit.
    fn add(&mut self, entry: &Entry, mut pieces: Vec<Bytes>, resolved: &Resolved) {
        let before = pieces.len();
        let mut new = self.references(entry, resolved, &mut pieces);
        let mut bytes: usize = pieces.iter().map(Bytes::len).sum();
        let last = entry.name().to_string();
        if let Some(message) = self.messages.last_mut().filter(|_| bytes <= self.room) {
            message.pieces.extend(pieces);
            message.content = Content::Records { last };
            self.room -= bytes;
        } else {
            self.told.clear();
            pieces.truncate(before);
            new = self.references(entry, resolved, &mut pieces);
            bytes = pieces.iter().map(Bytes::len).sum();
            self.messages.push(Message {
                pieces,
                content: Content::Records { last },
            });
            self.room = MESSAGE_BYTES.saturating_sub(bytes);
        }
        self.told.extend(new);
    }

    /// Adds the references of an entry that the message does not hold yet; returns their names.
    fn references(
        &self,
        entry: &Entry,
        resolved: &Resolved,
        pieces: &mut Vec<Bytes>,
    ) -> Vec<String> {
        let new = resolved.of(entry.name());
        let new = new.filter(|reference| !self.told.contains(&reference.name));
        new.map(|reference| {
            pieces.extend(field(REFERENCES_FIELD, reference.encode_to_vec().into()));
            reference.name.clone()
        })
        .collect()
    }
}
