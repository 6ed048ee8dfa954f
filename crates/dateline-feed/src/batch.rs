//! Batches of changes as encoded bytes for one view: encoded once, for all streams.

use bytes::{BufMut, Bytes, BytesMut};
use dateline_proto::v1::{Change, Kind, change::Type as ChangeType};
use dateline_record::{
    edtf::Bounds,
    filter::{Filter, actor_facet},
    record::{delimited_len, delimiter},
    sequence::Sequence,
    timestamp::timestamp,
};
use dateline_store::{FeedView, LogEntry, Mark};
use prost::Message;
use time::OffsetDateTime;

/// Field of `WatchResponse.changes`.
const CHANGES_FIELD: u32 = 1;
/// Field of `Change.record`.
const RECORD_FIELD: u32 = 12;
/// `Change.last_in_batch = true`, encoded.
const LAST_IN_BATCH: [u8; 2] = [11 << 3, 1];

/// A commit batch, as one view sees it.
#[derive(Debug)]
pub struct EncodedBatch {
    /// Sequence of its last change, which identifies the batch.
    pub last: Sequence,
    /// Time at which the service accepted it.
    pub accepted_at: OffsetDateTime,
    /// All changes framed for a response, the last one marked: the bytes that an unfiltered stream sends.
    ready: Bytes,
    entries: Vec<EncodedChange>,
}

#[derive(Debug)]
struct EncodedChange {
    sequence: Sequence,
    fingerprint: u64,
    kind: Kind,
    change_type: ChangeType,
    /// The framed change, as in `ready`: marked only if it is the batch's last.
    framed: Bytes,
    /// The encoded `Change`, without the mark.
    body: Bytes,
    /// The encoded `LEFT` for streams whose filter no longer matches the record; `None` if that cannot happen.
    left: Option<Bytes>,
    facets: Vec<String>,
    days: Option<Bounds>,
    /// Facets and days before the change, if the record was visible in the view then.
    before: Option<(Vec<String>, Option<Bounds>)>,
    /// Names of the merged record and of the record that it was merged into.
    merged: Option<(String, String)>,
}

/// A change, framed for one stream.
#[derive(Debug, Clone)]
pub struct FramedChange {
    /// Position and fingerprint of the change.
    pub mark: Mark,
    /// Bytes of a `WatchResponse` field.
    pub bytes: Bytes,
}

impl EncodedBatch {
    /// Splits a page of the log, which holds whole batches, into the batches of a view.
    #[must_use]
    pub fn from_log(entries: &[LogEntry], view: FeedView) -> Vec<EncodedBatch> {
        let placed: Vec<_> = entries
            .iter()
            .filter_map(|entry| Some((entry, entry.position(view)?)))
            .collect();
        placed
            .chunk_by(|(_, (_, batch)), (_, (_, next))| batch == next)
            .map(|chunk| {
                let last = chunk
                    .last()
                    .map_or(Sequence::ZERO, |(_, (sequence, _))| *sequence);
                let accepted_at = chunk
                    .first()
                    .map_or(OffsetDateTime::UNIX_EPOCH, |(entry, _)| entry.accepted_at);
                Self::new(
                    last,
                    accepted_at,
                    chunk
                        .iter()
                        .map(|(entry, position)| EncodedChange::new(entry, *position, view))
                        .collect(),
                )
            })
            .collect()
    }

    /// A batch of this size, without changes.
    #[cfg(test)]
    pub fn of_size(last: Sequence, bytes: usize) -> Self {
        Self {
            last,
            accepted_at: OffsetDateTime::UNIX_EPOCH,
            ready: vec![0; bytes].into(),
            entries: Vec::new(),
        }
    }

    fn new(last: Sequence, accepted_at: OffsetDateTime, mut entries: Vec<EncodedChange>) -> Self {
        let framed: usize = entries
            .iter()
            .map(|entry| delimited_len(CHANGES_FIELD, entry.body.len()))
            .sum();
        let mut ready = BytesMut::with_capacity(framed + LAST_IN_BATCH.len());
        let end = entries.len();
        let mut starts = Vec::with_capacity(end);
        for (position, entry) in entries.iter().enumerate() {
            starts.push(ready.len());
            frame(&entry.body, position + 1 == end, &mut ready);
        }
        let ready = ready.freeze();
        // One allocation: each change is a slice of the whole.
        starts.push(ready.len());
        for (position, entry) in entries.iter_mut().enumerate() {
            entry.framed = ready.slice(starts[position]..starts[position + 1]);
            let mark = if position + 1 == end {
                LAST_IN_BATCH.len()
            } else {
                0
            };
            let body_end = entry.framed.len() - mark;
            entry.body = entry.framed.slice(body_end - entry.body.len()..body_end);
        }
        Self {
            last,
            accepted_at,
            ready,
            entries,
        }
    }

    /// Returns about how many bytes of memory this batch takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.ready.len()
            + self
                .entries
                .iter()
                .map(EncodedChange::overhead)
                .sum::<usize>()
    }

    /// Returns the position and fingerprint of its last change.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.entries
            .last()
            .map(EncodedChange::mark)
            .unwrap_or_default()
    }

    /// Returns the fingerprint of the change at a sequence; `None` if this batch has no such change.
    #[must_use]
    pub fn fingerprint_at(&self, sequence: Sequence) -> Option<u64> {
        let position = self
            .entries
            .binary_search_by_key(&sequence, |entry| entry.sequence);
        Some(self.entries[position.ok()?].fingerprint)
    }

    /// Returns the merges of this batch: the merged record and the record that it was merged into.
    pub fn merged(&self) -> impl Iterator<Item = (&str, &str)> {
        let merged = self
            .entries
            .iter()
            .filter_map(|entry| entry.merged.as_ref());
        merged.map(|(name, into)| (name.as_str(), into.as_str()))
    }

    /// Returns the whole batch, if a stream at `after` gets all of it.
    #[must_use]
    pub fn whole(&self, after: Sequence, filter: &Filter) -> Option<Bytes> {
        let begins_after = self
            .entries
            .first()
            .is_some_and(|entry| entry.sequence > after);
        (filter.is_empty() && begins_after).then(|| self.ready.clone())
    }

    /// Returns the changes of the batch that a stream at `after` gets; the last one is marked (F3).
    #[must_use]
    pub fn select(&self, after: Sequence, filter: &Filter) -> Vec<FramedChange> {
        let wanted: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.sequence > after)
            .filter_map(|entry| Some((entry, entry.for_filter(filter)?)))
            .collect();
        let end = wanted.len();
        wanted
            .into_iter()
            .enumerate()
            .map(|(position, (entry, sent))| {
                let is_last = position + 1 == end;
                let bytes = match sent {
                    Sent::Whole if is_last == (entry.sequence == self.last) => entry.framed.clone(),
                    Sent::Whole => framed(&entry.body, is_last),
                    Sent::Left(body) => framed(body, is_last),
                };
                FramedChange {
                    mark: entry.mark(),
                    bytes,
                }
            })
            .collect()
    }
}

/// The part of a change that a stream gets.
enum Sent<'a> {
    Whole,
    Left(&'a Bytes),
}

fn framed(body: &[u8], last_in_batch: bool) -> Bytes {
    let mut bytes =
        BytesMut::with_capacity(delimited_len(CHANGES_FIELD, body.len()) + LAST_IN_BATCH.len());
    frame(body, last_in_batch, &mut bytes);
    bytes.freeze()
}

fn frame(body: &[u8], last_in_batch: bool, out: &mut BytesMut) {
    let mark: &[u8] = if last_in_batch { &LAST_IN_BATCH } else { &[] };
    delimiter(CHANGES_FIELD, body.len() + mark.len(), out);
    out.put_slice(body);
    out.put_slice(mark);
}

impl EncodedChange {
    fn new(entry: &LogEntry, (sequence, batch): (Sequence, Sequence), view: FeedView) -> Self {
        let was_shown = match view {
            FeedView::Desk => entry.revision > 1,
            FeedView::Wire => entry.was_visible,
        };
        let about = Change {
            sequence: sequence.to_i64(),
            r#type: entry.change_type.into(),
            time: Some(timestamp(entry.accepted_at)),
            name: entry.record.name.to_string(),
            kind: entry.record.kind.into(),
            revision: entry.revision,
            batch: batch.to_i64(),
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
        let name = entry.record.name.to_string();
        let into = entry.merged_into.clone();
        let merged = into
            .filter(|_| entry.change_type == ChangeType::Merged)
            .map(|into| (name, into));
        Self {
            sequence,
            fingerprint: entry.fingerprint(),
            kind: entry.record.kind,
            change_type: entry.change_type,
            framed: Bytes::new(),
            body: body(about, entry, view),
            left,
            facets: facets(entry, merged.as_ref()),
            days: entry.days,
            before: was_shown.then(|| (entry.facets_before.clone(), entry.days_before)),
            merged,
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            sequence: self.sequence,
            fingerprint: self.fingerprint,
        }
    }

    /// Returns the bytes of memory besides those of the change itself.
    fn overhead(&self) -> usize {
        let before = self.before.iter().flat_map(|(facets, _)| facets);
        let facets = self.facets.iter().chain(before);
        size_of::<Self>()
            + self.left.as_ref().map_or(0, Bytes::len)
            + facets
                .map(|facet| facet.len() + size_of::<String>())
                .sum::<usize>()
    }

    /// Returns the change, or `LEFT`, or nothing (F7). An erasure goes to every stream whose filter includes the
    /// record's kind: the log no longer knows which streams had the content.
    fn for_filter(&self, filter: &Filter) -> Option<Sent<'_>> {
        let is_erased = self.change_type == ChangeType::Purged && filter.may_send_kind(self.kind);
        if is_erased || filter.matches(&self.facets, self.days) {
            return Some(Sent::Whole);
        }
        let (facets, days) = self.before.as_ref()?;
        if !filter.matches(facets, *days) {
            return None;
        }
        match self.change_type {
            ChangeType::Retracted
            | ChangeType::Merged
            | ChangeType::Deleted
            | ChangeType::Purged => Some(Sent::Whole),
            _ => self.left.as_ref().map(Sent::Left),
        }
    }
}

/// Returns the facets that filters match. The merge of another record into an actor also carries that actor's facet.
fn facets(entry: &LogEntry, merged: Option<&(String, String)>) -> Vec<String> {
    let mut facets = entry.facets.clone();
    if let Some((_, into)) = merged {
        facets.push(actor_facet(into));
        facets.sort_unstable();
    }
    facets
}

/// Encodes the change with its record, from encoded parts.
fn body(about: Change, entry: &LogEntry, view: FeedView) -> Bytes {
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
