//! What goes into one response: changes or records, filled to a size. A response holds whole batches, or part
//! of one batch and nothing else (F3).

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

/// Bytes after which a message is sent, unless one change alone is larger. A stream that is not read holds one
/// of these in the transport.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Field of `WatchResponse.records`.
const RECORDS_FIELD: u32 = 4;
/// Field of `ExportResponse.records`.
const EXPORTED_FIELD: u32 = 1;
/// Field of `ExportResponse.removed`.
const REMOVED_FIELD: u32 = 2;
/// Field of `ExportResponse.references`.
const REFERENCES_FIELD: u32 = 6;

/// A response in the making.
#[derive(Debug)]
pub(super) struct Message {
    /// Bytes of `WatchResponse` fields.
    pub pieces: Vec<Bytes>,
    /// What they are.
    pub content: Content,
}

/// What a message carries.
#[derive(Debug)]
pub(super) enum Content {
    /// Changes up to this one, matching or not.
    Changes { last: Mark },
    /// Records up to this name.
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
    /// Adds what a stream at `after` gets of a batch.
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
            // After the last part there is nothing left of the batch, matching or not.
            self.last = batch.mark();
            self.send();
        } else if !changes.is_empty() {
            let pieces = changes.into_iter().map(|change| change.bytes).collect();
            self.add(pieces, batch.mark());
        }
    }

    /// All messages.
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

/// Records of a snapshot as messages.
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

/// The same of an export, with what is gone, and what the records of each message refer to.
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

/// A field with its encoded value.
fn field(number: u32, encoded: Bytes) -> Vec<Bytes> {
    let bytes = delimited_len(number, encoded.len());
    let mut head = BytesMut::with_capacity(bytes - encoded.len());
    delimiter(number, encoded.len(), &mut head);
    vec![head.freeze(), encoded]
}

/// Messages that are being filled.
#[derive(Debug, Default)]
struct Filling {
    messages: Vec<Message>,
    room: usize,
    /// Names that the last message tells where they lead to.
    told: HashSet<String>,
}

impl Filling {
    /// Adds an entry to the last message, or to a new one if it has no room.
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

    /// Adds what an entry refers to and the message does not tell yet; answers whose names these are.
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
