//! The use that the sender of a record allows: now, from a given time on, not yet, or not any more.

use dateline_proto::v1::{Record, State, record::Kind as Body, source_item::Status};
use prost_types::Timestamp;
use time::OffsetDateTime;

/// The use that the sender of a record allows, and the sender's note.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Release {
    pub allowed: Allowed,
    /// For readers if the record is corrected or retracted; otherwise for editors.
    pub note: String,
}

/// The use that is allowed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Allowed {
    /// Publish now.
    #[default]
    Now,
    /// Publish, but not before this time.
    From(Timestamp),
    /// Keep as a draft.
    Held {
        /// Reason for programs.
        reason: &'static str,
        /// Reason for people.
        why: String,
    },
    /// Do not use: an existing record is retracted.
    Canceled,
}

impl Allowed {
    /// True for an embargo that has not ended.
    pub(super) fn is_under_embargo(&self) -> bool {
        matches!(self, Self::From(time) if time.seconds >= now())
    }

    pub(super) fn held(reason: &'static str, why: &str) -> Self {
        Self::Held {
            reason,
            why: why.to_owned(),
        }
    }
}

impl From<Option<Timestamp>> for Allowed {
    /// The use that an embargo allows. An embargo that ended over a day ago has ended by every clock; otherwise the
    /// time is kept, and the server's clock decides.
    fn from(embargo: Option<Timestamp>) -> Self {
        let yesterday = now() - 24 * 60 * 60;
        let embargo = embargo.filter(|time| time.seconds > yesterday);
        embargo.map_or(Self::Now, Self::From)
    }
}

/// Seconds since 1970, UTC.
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

impl Release {
    /// The use allowed by a record's own `meta` and by the item that it was made from. With `any_state` the state is
    /// ignored; an embargo never is.
    pub(super) fn of_record(record: &Record, any_state: bool) -> Self {
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
            let state = State::try_from(state).map_or_else(
                |_| format!("state {state}, which is not known"),
                super::output::state_word,
            );
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
            Allowed::from(embargo)
        };
        Self {
            allowed,
            note: String::new(),
        }
    }
}
