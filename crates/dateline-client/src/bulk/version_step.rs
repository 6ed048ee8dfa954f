//! Decides the next step for the article of an item, from the order of two versions and from what the sender, the state
//! and the caller allow.

use std::cmp::Ordering;

use dateline_proto::v1::{SourceItem, State, source_item::Status};
use dateline_record::release::Allowed;
use prost_types::Timestamp;
use time::OffsetDateTime;

use super::outgoing::{Advice, Conflict, OnChange, Outgoing};

/// The order of one version relative to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    Older,
    Same,
    Newer,
    /// The versions lack the fields that would order them.
    Unknown,
}

/// Compares a version that was sent with the stored one.
pub(super) fn age(sent: &SourceItem, stored: &SourceItem) -> Age {
    let time = |item: &SourceItem| {
        item.version_time
            .map(|Timestamp { seconds, nanos }| (seconds, nanos))
    };
    let by_time = time(sent)
        .zip(time(stored))
        .map(|(sent, stored)| sent.cmp(&stored));
    let by_version = compare(&sent.version, &stored.version);
    // For the same version the stricter status wins: a kill may come without a version number of its own.
    let by_status = sent.status.cmp(&stored.status);
    match (by_version, by_time) {
        (Some(order @ (Ordering::Less | Ordering::Greater)), _) => order.into(),
        (_, Some(order)) => order.then(by_status).into(),
        (Some(Ordering::Equal), None) => by_status.into(),
        (None, None) if by_status == Ordering::Greater => Age::Newer,
        (None, None) => Age::Unknown,
    }
}

impl From<Ordering> for Age {
    fn from(order: Ordering) -> Self {
        match order {
            Ordering::Less => Self::Older,
            Ordering::Equal => Self::Same,
            Ordering::Greater => Self::Newer,
        }
    }
}

/// Compares versions numerically, "2.10" part by part. A version without a number is older than one with a number.
fn compare(sent: &str, stored: &str) -> Option<Ordering> {
    let numbers = |version: &str| {
        let parts = version.split('.').map(|part| part.parse::<u64>().ok());
        parts.collect::<Option<Vec<_>>>()
    };
    match (sent.is_empty(), stored.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) if sent == stored => Some(Ordering::Equal),
        (false, false) => Some(numbers(sent)?.cmp(&numbers(stored)?)),
    }
}

/// The next step for an existing record.
#[derive(Debug, PartialEq)]
pub(super) enum VersionStep {
    /// No change: it equals the sent version.
    Keep,
    Older,
    Skip,
    /// No change, but somebody has to check it.
    Report(String),
    /// Update the draft with the new content.
    Update,
    Correct,
    Retract,
    /// Return it to draft, then decide again.
    SendBack,
    /// Mark the draft as withheld or canceled.
    Mark,
}

/// Input of the decision.
pub(super) struct StepContext<'a> {
    pub sent: &'a Outgoing,
    pub age: Age,
    pub is_same: bool,
    pub state: State,
    pub status: Status,
    pub publishes: bool,
    pub on_change: OnChange,
    pub advice: Option<Advice>,
}

impl StepContext<'_> {
    pub(super) fn step(&self) -> VersionStep {
        if self.age == Age::Older {
            return VersionStep::Older;
        }
        match &self.sent.release.allowed {
            Allowed::Canceled => self.canceled(),
            Allowed::Held { reason, .. } if *reason == "WITHHELD" => self.withheld(),
            _ => self.usable(),
        }
    }

    fn report(&self, conflict: Conflict) -> VersionStep {
        VersionStep::Report(conflict.describe(self.advice))
    }

    fn canceled(&self) -> VersionStep {
        match self.state {
            State::Retracted | State::Merged => VersionStep::Keep,
            State::Published if self.publishes => VersionStep::Retract,
            State::Published => self.report(Conflict::Canceled),
            State::Embargoed | State::InReview => VersionStep::SendBack,
            _ if self.status == Status::Canceled => VersionStep::Keep,
            _ => VersionStep::Mark,
        }
    }

    fn withheld(&self) -> VersionStep {
        match self.state {
            State::Retracted | State::Merged => VersionStep::Keep,
            // An editor has released it in the meantime, or the item is an export of this record.
            _ if self.age == Age::Same => VersionStep::Keep,
            State::Published if self.publishes && self.on_change == OnChange::Correct => {
                VersionStep::Retract
            }
            State::Published => self.report(Conflict::Withheld),
            State::Embargoed | State::InReview => VersionStep::SendBack,
            _ if self.on_change == OnChange::Correct => VersionStep::Update,
            _ if self.status == Status::Withheld => VersionStep::Keep,
            _ => VersionStep::Mark,
        }
    }

    fn usable(&self) -> VersionStep {
        let is_kept = self.age == Age::Same || self.age == Age::Unknown && self.is_same;
        match (is_kept, self.on_change) {
            (true, _) => VersionStep::Keep,
            (false, OnChange::Skip) => VersionStep::Skip,
            (false, OnChange::Report) => self.report(Conflict::Newer),
            (false, OnChange::Correct) => self.corrected(),
        }
    }

    fn corrected(&self) -> VersionStep {
        let allowed = &self.sent.release.allowed;
        match self.state {
            State::Published if allowed.is_under_embargo(OffsetDateTime::now_utc()) => VersionStep::Report(
                "its newer version is under embargo: a correction would publish it before its time".to_owned(),
            ),
            State::Published => match allowed {
                Allowed::Held { why, .. } => VersionStep::Report(format!("its newer version is not taken over: {why}")),
                _ => VersionStep::Correct,
            },
            State::Embargoed if self.publishes => VersionStep::SendBack,
            State::Embargoed => self.report(Conflict::UnderEmbargo),
            State::InReview => VersionStep::Report(
                "it is in review here; once it is a draft again its newer version can be taken over".to_owned(),
            ),
            State::Retracted | State::Merged => VersionStep::Report(
                "its sender has a newer version, and it was withdrawn here".to_owned(),
            ),
            _ => VersionStep::Update,
        }
    }
}

#[cfg(test)]
#[path = "version_step_tests.rs"]
mod tests;
