//! The size of responses. gRPC clients accept 4 MiB by default, and reject more: a write that was committed would then
//! fail on every retry. So every response is made to fit: reads return what fits and name the rest, writes leave
//! content out.

use bytes::{BufMut, Bytes, BytesMut};
use dateline_proto::v1::FieldDifference;
use dateline_record::record::{delimited_len, delimiter};
use dateline_store::{Committed, FeedView, StoredRecord};

use crate::{
    middleware::backpressure::{MAX_RESPONSE_BYTES, try_reserve_response},
    transport::codec::PreEncoded,
};

/// Most differences in a response.
const MAX_DIFFERENCES: usize = 1000;
/// Most bytes of a difference besides its texts.
const DIFFERENCE_BYTES: usize = 24;

/// The part of each record that the response to a write includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordDetail {
    /// The whole record.
    Whole,
    /// Name and meta.
    Meta,
    /// Name and the bounded fields of the meta.
    Short,
}

impl RecordDetail {
    fn encode(self, record: &StoredRecord) -> Bytes {
        match self {
            RecordDetail::Whole => record.encoded(FeedView::Desk),
            RecordDetail::Meta => None,
            RecordDetail::Short => return record.encoded_short(),
        }
        .unwrap_or_else(|| record.encoded_without_content())
    }
}

/// Builds the response to a write: `records = 1`, `sequence = 2`, `wire_sequence = 3` if there is one, `warnings = 4`,
/// `content_omitted = 5`.
#[must_use]
pub fn commit_response<T>(committed: &Committed, omit_content: bool) -> PreEncoded<T> {
    build_response(committed, &committed.records, omit_content)
}

/// Builds the response to a write of one record, with `record = 1`.
#[must_use]
pub fn single_record_response<T>(committed: &Committed) -> PreEncoded<T> {
    let records = &committed.records;
    build_response(committed, &records[..records.len().min(1)], false)
}

fn build_response<T>(
    committed: &Committed,
    all: &[StoredRecord],
    omit_content: bool,
) -> PreEncoded<T> {
    let rest = encode_rest(committed);
    let room = MAX_RESPONSE_BYTES.saturating_sub(rest.len());
    let wanted = if omit_content {
        RecordDetail::Meta
    } else {
        RecordDetail::Whole
    };
    let forms = [wanted, RecordDetail::Meta];
    let found = forms.iter().find_map(|form| {
        let pieces = encode_records(all, *form, room)?;
        try_reserve_response(pieces.len() + rest.len()).then_some((*form, pieces))
    });
    let (form, mut pieces) = found.unwrap_or_else(|| {
        let short = encode_records(all, RecordDetail::Short, usize::MAX);
        (RecordDetail::Short, short.unwrap_or_default())
    });
    pieces.fields(rest);
    if form != wanted {
        pieces.fields(encode_integers(&[(5, 1)]));
    }
    pieces.finish()
}

/// Encodes the records of a response; `None` if they take more than `room` bytes.
fn encode_records(
    all: &[StoredRecord],
    form: RecordDetail,
    room: usize,
) -> Option<ResponseBuilder> {
    let mut pieces = ResponseBuilder::default();
    let mut bytes = 0;
    for record in all {
        let encoded = form.encode(record);
        bytes += delimited_len(1, encoded.len());
        if bytes > room {
            return None;
        }
        pieces.message(1, encoded);
    }
    Some(pieces)
}

fn encode_rest(committed: &Committed) -> Vec<u8> {
    let numbers = [
        (2, committed.desk_sequence.get()),
        (3, committed.wire_sequence.get()),
    ];
    let mut rest = encode_integers(&numbers).to_vec();
    for warning in &committed.warnings {
        prost::encoding::message::encode(4, warning, &mut rest);
    }
    rest
}

/// Encodes integer fields; 0 is left out.
#[must_use]
pub fn encode_integers(fields: &[(u32, u64)]) -> Bytes {
    let mut out = Vec::new();
    for (field, number) in fields.iter().filter(|(_, number)| *number != 0) {
        prost::encoding::uint64::encode(*field, number, &mut out);
    }
    out.into()
}

/// Returns the differences to list, and the number of further ones. Values that do not fit are left out; paths never
/// are.
#[must_use]
pub fn fit_differences(mut all: Vec<FieldDifference>) -> (Vec<FieldDifference>, usize) {
    let beyond = all.len().saturating_sub(MAX_DIFFERENCES);
    all.truncate(MAX_DIFFERENCES);
    let paths = all.iter().map(|it| it.path.len() + DIFFERENCE_BYTES);
    let mut room = MAX_RESPONSE_BYTES.saturating_sub(paths.sum());
    for difference in &mut all {
        let bytes = difference.before_json.len() + difference.after_json.len();
        if bytes <= room {
            room -= bytes;
        } else {
            difference.before_json.clear();
            difference.after_json.clear();
            difference.values_omitted = true;
        }
    }
    (all, beyond)
}

/// Builds a response from pre-encoded records and small fields.
#[derive(Debug, Default)]
pub struct ResponseBuilder {
    pieces: Vec<Bytes>,
}

impl ResponseBuilder {
    /// Adds an encoded message as a field.
    pub fn message(&mut self, field: u32, encoded: Bytes) {
        let mut head = BytesMut::with_capacity(16);
        delimiter(field, encoded.len(), &mut head);
        self.pieces.push(head.freeze());
        self.pieces.push(encoded);
    }

    /// Adds pre-encoded fields.
    pub fn fields(&mut self, encoded: impl Into<Bytes>) {
        self.pieces.push(encoded.into());
    }

    /// Adds a string field.
    pub fn string(&mut self, field: u32, text: &str) {
        let mut out = BytesMut::with_capacity(text.len() + 8);
        delimiter(field, text.len(), &mut out);
        out.put_slice(text.as_bytes());
        self.pieces.push(out.freeze());
    }

    /// Returns the size of all pieces in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Adds all of another's pieces.
    pub fn append(&mut self, other: ResponseBuilder) {
        self.pieces.extend(other.pieces);
    }

    /// Returns the response.
    #[must_use]
    pub fn finish<T>(self) -> PreEncoded<T> {
        PreEncoded::from_pieces(self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_room_are_left_out_and_those_after_them_are_not() {
        let difference = |path: &str, length: usize| FieldDifference {
            path: path.to_owned(),
            before_json: "x".repeat(length),
            after_json: "y".repeat(length),
            values_omitted: false,
        };
        let all = vec![
            difference("small", 10),
            difference("large", MAX_RESPONSE_BYTES),
            difference("after", 10),
        ];
        let (listed, beyond) = fit_differences(all);
        let omitted: Vec<_> = listed.iter().map(|it| it.values_omitted).collect();
        assert_eq!((omitted, beyond), (vec![false, true, false], 0));
        assert_eq!(listed[2].after_json.len(), 10);
        let (listed, beyond) = fit_differences(vec![difference("many", 1); 1003]);
        assert_eq!((listed.len(), beyond), (MAX_DIFFERENCES, 3));
    }
}
