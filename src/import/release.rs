//! The use that a file allows of a record: by the record's own state and embargo, and by the item that it was made from.

use dateline_proto::v1::{Record, State, record::Kind as Body, source_item::Status};
use dateline_record::release::{Allowed, Release};
use time::OffsetDateTime;

use crate::output::state_word;

/// The use allowed by a record's own `meta` and by the item that it was made from. With `any_state` the state is
/// ignored; an embargo never is.
pub(super) fn of_record(record: &Record, any_state: bool) -> Release {
    let meta = record.kind.as_ref().and_then(Body::meta);
    let state = meta.map_or(0, |meta| meta.state);
    let mut embargo = meta.and_then(|meta| meta.embargo_time);
    let mut status = Status::Unspecified;
    if let Some(Body::Article(article)) = &record.kind
        && let Some(item) = &article.source_item
    {
        status = item.status();
        embargo = embargo
            .into_iter()
            .chain(item.embargo_time)
            .max_by_key(|time| (time.seconds, time.nanos));
    }
    let is_usable = matches!(
        State::try_from(state),
        Ok(State::Published | State::Unspecified)
    );
    let allowed = if status != Status::Unspecified {
        Allowed::held("WITHHELD", "its sender withholds or has canceled it")
    } else if !is_usable && !any_state {
        let state = State::try_from(state)
            .map_or_else(|_| format!("state {state}, which is not known"), state_word);
        let why = format!("the file has it {state}; --any-state publishes it all the same");
        let is_withdrawn =
            meta.is_some_and(|meta| matches!(meta.state(), State::Retracted | State::Merged));
        let reason = if is_withdrawn {
            "RETRACTED"
        } else {
            "NOT_PUBLISHED"
        };
        Allowed::held(reason, &why)
    } else {
        Allowed::until(embargo, OffsetDateTime::now_utc())
    };
    Release {
        allowed,
        note: String::new(),
    }
}
