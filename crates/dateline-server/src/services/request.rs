//! Common parts of all reads: the view, the filter and the sequence to wait for.

use dateline_access::{Caller, Visibility};
use dateline_feed::Feed;
use dateline_proto::v1::{self, RecordFilter};
use dateline_record::{
    filter::Filter,
    sequence::Sequence,
    timestamp::instant,
    validate::validate,
    walk::{Path, Walk},
};
use dateline_store::{FeedView, Store};
use time::OffsetDateTime;

use crate::{
    middleware::timeout,
    status::{self, Reason},
};

/// Page size if the client sets none.
const DEFAULT_PAGE_SIZE: u16 = 50;
/// Largest page.
const MAX_PAGE_SIZE: u16 = 1000;

/// Returns what a caller may see of the requested view. Call it before the request is validated: a caller without
/// permission learns nothing else.
///
/// # Errors
/// `PERMISSION_DENIED` if the caller may not read that view.
pub fn visibility(caller: &Caller, view: v1::View) -> Result<Visibility, tonic::Status> {
    caller.visibility(view).map_err(|why| status::denied(&why))
}

/// Checks a request by the rules of the schema.
///
/// # Errors
/// `INVALID_ARGUMENT` with all violations.
pub fn validate_request(request: &mut impl Walk, reason: Reason) -> Result<(), tonic::Status> {
    let violations = validate(request, &mut Path::default());
    // A page token or cursor that breaks the schema's rules gets the same reason as one that was not made here.
    let reason = match violations.first().map(|violation| violation.field.as_str()) {
        None => return Ok(()),
        Some("page_token") => Reason::InvalidPageToken,
        Some("cursor") => Reason::InvalidCursor,
        Some(_) => reason,
    };
    Err(status::invalid(reason, &violations))
}

/// Converts the time of a request.
///
/// # Errors
/// `INVALID_ARGUMENT` if the time is out of range.
pub fn parse_time(time: prost_types::Timestamp) -> Result<OffsetDateTime, tonic::Status> {
    instant(time).ok_or_else(|| {
        let what = "must lie in the years 0001 to 9999";
        status::invalid_field(Reason::InvalidRequest, "time", what)
    })
}

/// Validates a filter, and restricts it to what the caller may see. A filter for an actor also matches the actors
/// merged into it.
///
/// # Errors
/// `INVALID_ARGUMENT` with all violations, or the store's error.
pub async fn visible_filter(
    store: &Store,
    visibility: &Visibility,
    filter: Option<&RecordFilter>,
) -> Result<Filter, tonic::Status> {
    let checked = Filter::new(filter);
    let checked =
        checked.map_err(|violations| status::invalid(Reason::InvalidFilter, &violations))?;
    match filter {
        Some(filter) if !filter.actors.is_empty() => {
            let all = store.with_merged(&filter.actors).await;
            let all = all.map_err(|error| status::store(&error))?;
            Ok(visibility.restrict(checked.with_actors(&all)))
        }
        _ => Ok(visibility.restrict(checked)),
    }
}

/// Returns the page size to use for a requested one; 0 means the default.
#[must_use]
pub fn page_size(asked: i32) -> u16 {
    match u16::try_from(asked) {
        Ok(0) => DEFAULT_PAGE_SIZE,
        Ok(size) => size.min(MAX_PAGE_SIZE),
        // Validation has rejected negative sizes.
        Err(_) => MAX_PAGE_SIZE,
    }
}

/// Waits for the sequence that a read asks for (W7), while its caller may read.
///
/// # Errors
/// `INVALID_ARGUMENT` if the sequence is too far ahead; `UNAVAILABLE` if it does not arrive before the deadline;
/// `UNAUTHENTICATED` if the caller's credentials end meanwhile.
pub async fn wait_for_sequence(
    feed: &Feed,
    view: FeedView,
    min_sequence: i64,
    caller: &Caller,
) -> Result<(), tonic::Status> {
    let Some(sequence) = Sequence::from_i64(min_sequence).filter(|it| *it > Sequence::ZERO) else {
        return Ok(());
    };
    let reached = timeout::before_deadline(feed.wait_for_sequence(view, sequence));
    tokio::select! {
        biased;
        () = caller.ended() => Err(status::denied(&caller.end_reason())),
        reached = reached => match reached {
            Some(reached) => reached.map_err(|error| status::feed(&error)),
            None => Err(status::unavailable(
                Reason::StoreUnavailable,
                "min_sequence did not come before the deadline; try again, or at another replica",
            )),
        },
    }
}
