//! A page of hits: the records as the view has them, and what in them matches.

use std::collections::BTreeMap;

use dateline_proto::v1::{Record, SearchFragment, SearchHit, SearchSpan};
use dateline_search::{Query, Stems, fragments, title};
use dateline_store::{FeedView, SearchRow, StoredRecord};
use prost::Message;

/// Most bytes of the records that are read for a page.
pub(super) const MAX_CONTENT_BYTES: usize = 2 * 1024 * 1024;
/// Bytes after which a page ends: a response stays below the default limit of clients (4 MiB).
const MAX_PAGE_BYTES: usize = 3 * 1024 * 1024;

/// The hits of a page.
#[derive(Default)]
pub(super) struct Page {
    pub hits: Vec<SearchHit>,
    /// The place of the last row that the page has come to; `None` if there are none.
    pub last: Option<usize>,
}

/// Makes the hits of rows. A row without a record is past the bytes of the page, or was erased meanwhile: then a later
/// row has one.
pub(super) fn fill(
    rows: &[SearchRow],
    mut records: BTreeMap<i64, StoredRecord>,
    view: FeedView,
    words: Option<&Query>,
    stems: &Stems,
    omit_records: bool,
) -> Page {
    let mut page = Page::default();
    let mut bytes = 0;
    for (at, row) in rows.iter().enumerate() {
        if records.is_empty() && at > 0 {
            break;
        }
        let stored = records.remove(&row.desk_sequence);
        let hit = stored.and_then(|stored| hit(row, &stored, view, words, stems, omit_records));
        if let Some(hit) = hit {
            bytes += hit.encoded_len();
            if bytes > MAX_PAGE_BYTES && !page.hits.is_empty() {
                break;
            }
            page.hits.push(hit);
        }
        page.last = Some(at);
    }
    page
}

/// Makes a hit of a record as the view has it; `None` if it has none. Whatever is highlighted is in that.
fn hit(
    row: &SearchRow,
    stored: &StoredRecord,
    view: FeedView,
    words: Option<&Query>,
    stems: &Stems,
    omit_records: bool,
) -> Option<SearchHit> {
    let encoded = stored.encoded(view)?;
    let mut record = Record::decode(encoded)
        .inspect_err(|error| {
            tracing::error!(record = row.name, %error, "a stored record cannot be decoded");
        })
        .ok()?;
    let body = record.kind.as_mut()?;
    let title = title(body);
    let found = words.map(|words| fragments(body, words, stems));
    Some(SearchHit {
        name: row.name.clone(),
        title,
        score: i32::try_from(row.score).unwrap_or(i32::MAX),
        fragments: found.into_iter().flatten().map(fragment).collect(),
        record: (!omit_records).then_some(record),
    })
}

fn fragment(found: dateline_search::Fragment) -> SearchFragment {
    let number = |position: usize| i32::try_from(position).unwrap_or(i32::MAX);
    let spans = found.spans.iter().map(|(start, end)| SearchSpan {
        start: number(*start),
        end: number(*end),
    });
    SearchFragment {
        spans: spans.collect(),
        offset: number(found.offset),
        path: found.path,
        text: found.text,
    }
}
