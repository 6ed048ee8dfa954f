//! Contents of responses: changes or records, filled up to a size. A response holds whole batches, or part of one batch
//! and nothing else (F3).

use std::{collections::HashSet, sync::Arc};

use bytes::{Bytes, BytesMut};
use dateline_proto::v1::Removal;
use dateline_record::{
    filter::Filter,
    record::{delimited_len, delimiter},
    sequence::Sequence,
};
use dateline_store::{
    FeedView, Mark, Removed, ResolvedReference, ResolvedReferences, SnapshotEntry,
};
use prost::Message as _;

use super::batch::EncodedBatch;

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
pub(super) struct PackedMessage {
    /// Bytes of `WatchResponse` fields.
    pub pieces: Vec<Bytes>,
    /// Position after the message.
    pub end: MessageEnd,
}

/// Position after a message.
#[derive(Debug)]
pub(super) enum MessageEnd {
    /// Position of the last change up to here, whether it matched or not.
    Changes { last: Mark },
    /// Last name of the records.
    Records { last: String },
}

/// Packs batches into messages.
#[derive(Debug, Default)]
pub(super) struct ChangePacker {
    done: Vec<PackedMessage>,
    pieces: Vec<Bytes>,
    bytes: usize,
    last: Mark,
}

impl ChangePacker {
    /// Adds the changes of a batch that a stream at `after` gets.
    pub fn add_batch(&mut self, batch: &EncodedBatch, after: Sequence, filter: &Filter) {
        let whole = batch.whole(after, filter);
        if let Some(whole) = whole.filter(|whole| whole.len() <= MESSAGE_BYTES) {
            self.add(vec![whole], batch.mark());
            return;
        }
        let changes = batch.select(after, filter);
        let bytes: usize = changes.iter().map(|change| change.bytes.len()).sum();
        if bytes > MESSAGE_BYTES {
            self.flush();
            for change in changes {
                self.add(vec![change.bytes], change.mark);
            }
            // After the last part the position is the end of the batch, matching or not.
            self.last = batch.mark();
            self.flush();
        } else if !changes.is_empty() {
            let pieces = changes.into_iter().map(|change| change.bytes).collect();
            self.add(pieces, batch.mark());
        }
    }

    /// Returns all messages.
    pub fn finish(mut self) -> Vec<PackedMessage> {
        self.flush();
        self.done
    }

    fn add(&mut self, pieces: Vec<Bytes>, last: Mark) {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if self.bytes + bytes > MESSAGE_BYTES {
            self.flush();
        }
        self.pieces.extend(pieces);
        self.bytes += bytes;
        self.last = last;
    }

    fn flush(&mut self) {
        if !self.pieces.is_empty() {
            self.done.push(PackedMessage {
                pieces: std::mem::take(&mut self.pieces),
                end: MessageEnd::Changes { last: self.last },
            });
        }
        self.bytes = 0;
    }
}

/// Packs records of a snapshot into messages.
pub(super) fn pack_records(entries: &[SnapshotEntry], view: FeedView) -> Vec<PackedMessage> {
    let mut packer = RecordPacker::default();
    for entry in entries {
        if let SnapshotEntry::Record(record) = entry
            && let Some(encoded) = record.encoded(view)
        {
            packer.add(
                entry,
                field(RECORDS_FIELD, encoded),
                &ResolvedReferences::default(),
            );
        }
    }
    packer.messages
}

/// Packs records and removals of an export into messages, each with the references of its records.
pub(super) fn pack_export(
    entries: &[SnapshotEntry],
    resolved: &ResolvedReferences,
    view: FeedView,
) -> Vec<PackedMessage> {
    let mut packer = RecordPacker::default();
    for entry in entries {
        let encoded = match entry {
            SnapshotEntry::Record(record) => {
                record.encoded(view).map(|it| field(EXPORTED_FIELD, it))
            }
            SnapshotEntry::Removed(gone) => {
                let encoded = removal(gone).encode_to_vec();
                Some(field(REMOVED_FIELD, encoded.into()))
            }
        };
        if let Some(encoded) = encoded {
            packer.add(entry, encoded, resolved);
        }
    }
    packer.messages
}

fn removal(gone: &Removed) -> Removal {
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
struct RecordPacker {
    messages: Vec<PackedMessage>,
    room: usize,
    /// Addresses of the references that the last message holds; the same name has the same one.
    sent_references: HashSet<*const ResolvedReference>,
}

impl RecordPacker {
    /// Adds an entry to the last message, or to a new one if it does not fit.
    fn add(
        &mut self,
        entry: &SnapshotEntry,
        mut pieces: Vec<Bytes>,
        resolved: &ResolvedReferences,
    ) {
        let before = pieces.len();
        let mut new = self.references(entry, resolved, &mut pieces);
        let mut bytes: usize = pieces.iter().map(Bytes::len).sum();
        let last = entry.name().to_string();
        if let Some(message) = self.messages.last_mut().filter(|_| bytes <= self.room) {
            message.pieces.extend(pieces);
            message.end = MessageEnd::Records { last };
            self.room -= bytes;
        } else {
            self.sent_references.clear();
            pieces.truncate(before);
            new = self.references(entry, resolved, &mut pieces);
            bytes = pieces.iter().map(Bytes::len).sum();
            self.messages.push(PackedMessage {
                pieces,
                end: MessageEnd::Records { last },
            });
            self.room = MESSAGE_BYTES.saturating_sub(bytes);
        }
        self.sent_references.extend(new);
    }

    /// Adds the references of an entry that the message does not hold yet; returns their addresses.
    fn references(
        &self,
        entry: &SnapshotEntry,
        resolved: &ResolvedReferences,
        pieces: &mut Vec<Bytes>,
    ) -> Vec<*const ResolvedReference> {
        let new = resolved.for_record(entry.name());
        let new = new.filter(|it| !self.sent_references.contains(&Arc::as_ptr(it)));
        new.map(|reference| {
            pieces.extend(field(REFERENCES_FIELD, reference.encoded.clone()));
            Arc::as_ptr(reference)
        })
        .collect()
    }
}
