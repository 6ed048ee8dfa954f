//! Batches of changes as ready bytes for one view: encoded once, however many streams send them.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::{
    model::{
        change::timestamp,
        edtf::Bounds,
        filter::Filter,
        record::{delimited_len, delimiter},
    },
    proto::v1::{Change, change::Type as ChangeType},
    store::{LogEntry, View},
};

/// Field of `WatchResponse.changes`.
const CHANGES_FIELD: u32 = 1;
/// Field of `Change.record`.
const RECORD_FIELD: u32 = 12;
/// `Change.last_in_batch = true`, encoded.
const LAST_IN_BATCH: [u8; 2] = [11 << 3, 1];

/// What was committed together, as one view sees it.
#[derive(Debug)]
pub struct Batch {
    /// The sequence of its last change, which is also its number.
    pub last: u64,
    /// All changes framed for a response, the last one marked: what an unfiltered stream sends.
    ready: Bytes,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    sequence: u64,
    change_type: ChangeType,
    /// The encoded `Change`, without `last_in_batch`.
    body: Bytes,
    /// The encoded `LEFT` for streams whose filter the record no longer matches; only if it can happen.
    left: Option<Bytes>,
    facets: Vec<String>,
    days: Option<Bounds>,
    /// Before the change, if the view showed the record then.
    before: Option<(Vec<String>, Option<Bounds>)>,
}

/// A change as one stream gets it.
#[derive(Debug, Clone)]
pub struct Framed {
    /// Its number in the feed.
    pub sequence: u64,
    /// Bytes of a `WatchResponse` field.
    pub bytes: Bytes,
}

impl Batch {
    /// Cuts a page of the log into the batches that a view sees. The page holds whole batches.
    #[must_use]
    pub fn cut(entries: &[LogEntry], view: View) -> Vec<Batch> {
        let placed: Vec<_> = entries
            .iter()
            .filter_map(|entry| Some((entry, entry.place(view)?)))
            .collect();
        placed
            .chunk_by(|(_, (_, batch)), (_, (_, next))| batch == next)
            .map(|chunk| {
                let last = chunk.last().map_or(0, |(_, (sequence, _))| *sequence);
                Self::new(
                    last,
                    chunk
                        .iter()
                        .map(|(entry, place)| Entry::new(entry, *place, view))
                        .collect(),
                )
            })
            .collect()
    }

    fn new(last: u64, entries: Vec<Entry>) -> Self {
        let framed: usize = entries
            .iter()
            .map(|entry| delimited_len(CHANGES_FIELD, entry.body.len()))
            .sum();
        let mut ready = BytesMut::with_capacity(framed + LAST_IN_BATCH.len());
        let end = entries.len();
        for (position, entry) in entries.iter().enumerate() {
            frame(&entry.body, position + 1 == end, &mut ready);
        }
        Self {
            last,
            ready: ready.freeze(),
            entries,
        }
    }

    /// Bytes that this batch holds in memory, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        2 * self.ready.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The whole batch at once, if a stream at `after` wants all of it.
    #[must_use]
    pub fn whole(&self, after: u64, filter: &Filter) -> Option<Bytes> {
        let begins_after = self
            .entries
            .first()
            .is_some_and(|entry| entry.sequence > after);
        (filter.is_empty() && begins_after).then(|| self.ready.clone())
    }

    /// What a stream at `after` gets of the batch, one by one; the last one it gets is marked (F3).
    #[must_use]
    pub fn select(&self, after: u64, filter: &Filter) -> Vec<Framed> {
        let wanted: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.sequence > after)
            .filter_map(|entry| Some((entry.sequence, entry.for_filter(filter)?)))
            .collect();
        let end = wanted.len();
        wanted
            .into_iter()
            .enumerate()
            .map(|(position, (sequence, body))| {
                let mut bytes = BytesMut::with_capacity(
                    delimited_len(CHANGES_FIELD, body.len()) + LAST_IN_BATCH.len(),
                );
                frame(body, position + 1 == end, &mut bytes);
                Framed {
                    sequence,
                    bytes: bytes.freeze(),
                }
            })
            .collect()
    }
}

fn frame(body: &[u8], last_in_batch: bool, out: &mut BytesMut) {
    let mark: &[u8] = if last_in_batch { &LAST_IN_BATCH } else { &[] };
    delimiter(CHANGES_FIELD, body.len() + mark.len(), out);
    out.put_slice(body);
    out.put_slice(mark);
}

impl Entry {
    fn new(entry: &LogEntry, (sequence, batch): (u64, u64), view: View) -> Self {
        let was_shown = match view {
            View::Desk => entry.revision > 1,
            View::Published => entry.was_visible,
        };
        let about = Change {
            sequence: sequence.cast_signed(),
            r#type: entry.change_type.into(),
            time: Some(timestamp(entry.accepted_at)),
            name: entry.record.name.to_string(),
            kind: entry.record.kind.into(),
            revision: entry.revision,
            batch: batch.cast_signed(),
            ..Change::default()
        };
        let may_leave =
            was_shown && (entry.facets != entry.facets_before || entry.days != entry.days_before);
        let left = may_leave.then(|| {
            Change {
                r#type: ChangeType::Left.into(),
                ..about.clone()
            }
            .encode_to_vec()
            .into()
        });
        Self {
            sequence,
            change_type: entry.change_type,
            body: body(about, entry, view),
            left,
            facets: entry.facets.clone(),
            days: entry.days,
            before: was_shown.then(|| (entry.facets_before.clone(), entry.days_before)),
        }
    }

    /// The change, or that the record left, or nothing (F7). That a content was erased is told to everybody: the
    /// log no longer knows who had it.
    fn for_filter(&self, filter: &Filter) -> Option<&Bytes> {
        if self.change_type == ChangeType::Purged || filter.matches(&self.facets, self.days) {
            return Some(&self.body);
        }
        let (facets, days) = self.before.as_ref()?;
        if !filter.matches(facets, *days) {
            return None;
        }
        match self.change_type {
            ChangeType::Retracted
            | ChangeType::Merged
            | ChangeType::Deleted
            | ChangeType::Purged => Some(&self.body),
            _ => self.left.as_ref(),
        }
    }
}

/// The change with its record, from ready parts.
fn body(about: Change, entry: &LogEntry, view: View) -> Bytes {
    let change = Change {
        note: entry.note.clone(),
        merged_into: entry.merged_into.clone().unwrap_or_default(),
        changed_fields: entry.changed_fields.clone(),
        ..about
    };
    let mut out = BytesMut::from(change.encode_to_vec().as_slice());
    let gone = matches!(entry.change_type, ChangeType::Deleted | ChangeType::Purged);
    if let Some(record) = entry.record.encoded(view).filter(|_| !gone) {
        delimiter(RECORD_FIELD, record.len(), &mut out);
        out.put_slice(&record);
    }
    out.freeze()
}
