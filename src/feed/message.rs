//! What goes into one response: changes or records, filled to a size. A response holds whole batches, or part
//! of one batch and nothing else (F3).

use bytes::{Bytes, BytesMut};
use prost::Message as _;

use super::batch::Batch;
use crate::{
    model::{
        filter::Filter,
        record::{delimited_len, delimiter},
    },
    proto::v1::Removal,
    store::{Entry, Gone, View},
};

/// Bytes after which a message is sent, unless one change alone is larger. A stream that is not read holds one
/// of these in the transport.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Field of `WatchResponse.records`.
const RECORDS_FIELD: u32 = 4;
/// Field of `ExportResponse.records`.
const EXPORTED_FIELD: u32 = 1;
/// Field of `ExportResponse.removed`.
const REMOVED_FIELD: u32 = 2;

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
    /// Changes up to this sequence, matching or not.
    Changes { last: u64 },
    /// Records up to this name.
    Records { last: String },
}

/// Packs batches into messages.
#[derive(Debug, Default)]
pub(super) struct Packing {
    done: Vec<Message>,
    pieces: Vec<Bytes>,
    bytes: usize,
    last: u64,
}

impl Packing {
    /// Adds what a stream at `after` gets of a batch.
    pub fn batch(&mut self, batch: &Batch, after: u64, filter: &Filter) {
        let whole = batch.whole(after, filter);
        if let Some(whole) = whole.filter(|whole| whole.len() <= MESSAGE_BYTES) {
            self.add(vec![whole], batch.last);
            return;
        }
        let changes = batch.select(after, filter);
        let bytes: usize = changes.iter().map(|change| change.bytes.len()).sum();
        if bytes > MESSAGE_BYTES {
            self.send();
            for change in changes {
                self.add(vec![change.bytes], change.sequence);
            }
            // After the last part there is nothing left of the batch, matching or not.
            self.last = batch.last;
            self.send();
        } else if !changes.is_empty() {
            let pieces = changes.into_iter().map(|change| change.bytes).collect();
            self.add(pieces, batch.last);
        }
    }

    /// All messages.
    pub fn finish(mut self) -> Vec<Message> {
        self.send();
        self.done
    }

    fn add(&mut self, pieces: Vec<Bytes>, last: u64) {
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
    let encoded = |entry: &Entry| match entry {
        Entry::Record(record) => Some((RECORDS_FIELD, record.encoded(view)?)),
        Entry::Gone(_) => None,
    };
    fill(entries, encoded)
}

/// The same of an export, with what is gone.
pub(super) fn exported(entries: &[Entry], view: View) -> Vec<Message> {
    let encoded = |entry: &Entry| match entry {
        Entry::Record(record) => Some((EXPORTED_FIELD, record.encoded(view)?)),
        Entry::Gone(gone) => Some((REMOVED_FIELD, removal(gone).encode_to_vec().into())),
    };
    fill(entries, encoded)
}

fn removal(gone: &Gone) -> Removal {
    Removal {
        name: gone.name.to_string(),
        r#type: gone.why.into(),
        merged_into: gone.merged_into.clone().unwrap_or_default(),
    }
}

/// Fields and their encoded values, as messages.
fn fill(entries: &[Entry], encoded: impl Fn(&Entry) -> Option<(u32, Bytes)>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut room = 0;
    for entry in entries {
        let Some((field, encoded)) = encoded(entry) else {
            continue;
        };
        let bytes = delimited_len(field, encoded.len());
        let mut head = BytesMut::with_capacity(bytes - encoded.len());
        delimiter(field, encoded.len(), &mut head);
        let pieces = [head.freeze(), encoded];
        let last = entry.name().to_string();
        if let Some(message) = messages.last_mut().filter(|_| bytes <= room) {
            message.pieces.extend(pieces);
            message.content = Content::Records { last };
            room -= bytes;
        } else {
            messages.push(Message {
                pieces: pieces.into(),
                content: Content::Records { last },
            });
            room = MESSAGE_BYTES.saturating_sub(bytes);
        }
    }
    messages
}
