//! What every read has in common: the view, the filter, the sequence to wait for, and responses from ready
//! bytes.

use bytes::{BufMut, Bytes, BytesMut};
use dateline_access::{Caller, Sight};
use dateline_feed::Feed;
use dateline_proto::v1::{self, RecordFilter};
use dateline_record::{
    filter::Filter,
    record::delimiter,
    timestamp::instant,
    validate::validate,
    walk::{Path, Walk},
};
use dateline_store::{Store, View};
use time::OffsetDateTime;

use super::{
    codec::Ready,
    deadline,
    status::{self, Reason},
};

/// Page size when the client does not say.
const DEFAULT_PAGE: u16 = 50;
/// Largest page.
const MAX_PAGE: u16 = 1000;

/// What a caller sees of the view that is asked for. Before the request is checked: who may not is told that alone.
///
/// # Errors
/// `PERMISSION_DENIED` if that view is not for this caller.
pub fn sight(caller: &Caller, view: v1::View) -> Result<Sight, tonic::Status> {
    caller.sight(view).map_err(|why| status::denied(&why))
}

/// Checks a request by the rules of the schema.
///
/// # Errors
/// `INVALID_ARGUMENT` with all violations.
pub fn check(request: &mut impl Walk, reason: Reason) -> Result<(), tonic::Status> {
    let violations = validate(request, &mut Path::default());
    // What cannot even be looked at is no page token and no cursor, like one that was not made here.
    let reason = match violations.first().map(|violation| violation.field.as_str()) {
        None => return Ok(()),
        Some("page_token") => Reason::InvalidPageToken,
        Some("cursor") => Reason::InvalidCursor,
        Some(_) => reason,
    };
    Err(status::invalid(reason, &violations))
}

/// The time that a request names.
///
/// # Errors
/// `INVALID_ARGUMENT` if there is no such time.
pub fn read_time(time: prost_types::Timestamp) -> Result<OffsetDateTime, tonic::Status> {
    instant(time).ok_or_else(|| {
        let what = "must lie in the years 0001 to 9999";
        status::invalid_field(Reason::InvalidRequest, "time", what)
    })
}

/// Checks a filter, and narrows it to what the caller sees. Whoever asks for an actor asks for what was merged into it
/// too.
///
/// # Errors
/// `INVALID_ARGUMENT` with all violations, or the store's error.
pub async fn filter(
    store: &Store,
    sight: &Sight,
    filter: Option<&RecordFilter>,
) -> Result<Filter, tonic::Status> {
    let checked = Filter::new(filter);
    let checked =
        checked.map_err(|violations| status::invalid(Reason::InvalidFilter, &violations))?;
    match filter {
        Some(filter) if !filter.actors.is_empty() => {
            let all = store.with_merged(&filter.actors).await;
            let all = all.map_err(|error| status::store(&error))?;
            Ok(sight.narrow(checked.with_actors(&all)))
        }
        _ => Ok(sight.narrow(checked)),
    }
}

/// Records of a page, of which the client asks for so many.
#[must_use]
pub fn page_size(asked: i32) -> u16 {
    match u16::try_from(asked) {
        Ok(0) => DEFAULT_PAGE,
        Ok(size) => size.min(MAX_PAGE),
        // A negative one has been refused.
        Err(_) => MAX_PAGE,
    }
}

/// Waits for the sequence that a read asks for (W7), for as long as its caller may read.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is out of reach; UNAVAILABLE if it does not come before the deadline; UNAUTHENTICATED if the
/// caller's credentials end meanwhile.
pub async fn wait_for(
    feed: &Feed,
    view: View,
    min_sequence: i64,
    caller: &Caller,
) -> Result<(), tonic::Status> {
    let Some(sequence) = u64::try_from(min_sequence).ok().filter(|it| *it > 0) else {
        return Ok(());
    };
    let reached = deadline::in_time(feed.wait_for(view, sequence));
    tokio::select! {
        biased;
        () = caller.ended() => Err(status::denied(&caller.why_ended())),
        reached = reached => match reached {
            Some(reached) => reached.map_err(|error| status::feed(&error)),
            None => Err(status::unavailable(
                Reason::StoreUnavailable,
                "min_sequence did not come before the deadline; try again, or at another replica",
            )),
        },
    }
}

/// A response put together from ready records and small fields.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: Vec<Bytes>,
}

impl Pieces {
    /// Adds an encoded message as a field.
    pub fn message(&mut self, field: u32, encoded: Bytes) {
        let mut head = BytesMut::with_capacity(16);
        delimiter(field, encoded.len(), &mut head);
        self.pieces.push(head.freeze());
        self.pieces.push(encoded);
    }

    /// Adds fields that are encoded already.
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

    /// Bytes of all pieces.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Adds all of another's pieces.
    pub fn append(&mut self, other: Pieces) {
        self.pieces.extend(other.pieces);
    }

    /// The response.
    #[must_use]
    pub fn finish<T>(self) -> Ready<T> {
        Ready::from_pieces(self.pieces)
    }
}
