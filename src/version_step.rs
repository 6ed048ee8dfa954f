//! Decides the next step for the article of an item, from the order of two versions and from what the sender, the state
//! and the caller allow.

use std::cmp::Ordering;

use dateline_proto::v1::{SourceItem, State, source_item::Status};
use prost_types::Timestamp;

use super::{
    outgoing::{OnChange, Outgoing},
    release::Allowed,
};

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
pub(super) enum Step {
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
pub(super) struct Situation<'a> {
    pub sent: &'a Outgoing,
    pub age: Age,
    pub is_same: bool,
    pub state: State,
    pub status: Status,
    pub publishes: bool,
    pub on_change: OnChange,
}

impl Situation<'_> {
    pub(super) fn step(&self) -> Step {
        if self.age == Age::Older {
            return Step::Older;
        }
        match &self.sent.release.allowed {
            Allowed::Canceled => self.canceled(),
            Allowed::Held { reason, .. } if *reason == "WITHHELD" => self.withheld(),
            _ => self.usable(),
        }
    }

    fn canceled(&self) -> Step {
        match self.state {
            State::Retracted | State::Merged => Step::Keep,
            State::Published if self.publishes => Step::Retract,
            State::Published => Step::Report(
                "its sender has canceled it, and it is published here: --publish retracts it"
                    .to_owned(),
            ),
            State::Embargoed | State::InReview => Step::SendBack,
            _ if self.status == Status::Canceled => Step::Keep,
            _ => Step::Mark,
        }
    }

    fn withheld(&self) -> Step {
        match self.state {
            State::Retracted | State::Merged => Step::Keep,
            // An editor has released it in the meantime, or the item is an export of this record.
            _ if self.age == Age::Same => Step::Keep,
            State::Published if self.publishes && self.on_change == OnChange::Correct => Step::Retract,
            State::Published => Step::Report(
                "its sender withholds it, and it is published here: `dateline retract` or --on-change correct withdraws it, for good"
                    .to_owned(),
            ),
            State::Embargoed | State::InReview => Step::SendBack,
            _ if self.on_change == OnChange::Correct => Step::Update,
            _ if self.status == Status::Withheld => Step::Keep,
            _ => Step::Mark,
        }
    }

    fn usable(&self) -> Step {
        let is_kept = self.age == Age::Same || self.age == Age::Unknown && self.is_same;
        match (is_kept, self.on_change) {
            (true, _) => Step::Keep,
            (false, OnChange::Skip) => Step::Skip,
            (false, OnChange::Report) => Step::Report(
                "its sender has a newer version; --on-change correct takes it over, skip leaves it out"
                    .to_owned(),
            ),
            (false, OnChange::Correct) => self.corrected(),
        }
    }

    fn corrected(&self) -> Step {
        let allowed = &self.sent.release.allowed;
        match self.state {
            State::Published if allowed.is_under_embargo() => Step::Report(
                "its newer version is under embargo: a correction would publish it before its time".to_owned(),
            ),
            State::Published => match allowed {
                Allowed::Held { why, .. } => Step::Report(format!("its newer version is not taken over: {why}")),
                _ => Step::Correct,
            },
            State::Embargoed if self.publishes => Step::SendBack,
            State::Embargoed => Step::Report(
                "it is under embargo here; --publish takes its newer version over".to_owned(),
            ),
            State::InReview => Step::Report(
                "it is in review here; once it is a draft again its newer version can be taken over".to_owned(),
            ),
            State::Retracted | State::Merged => Step::Report(
                "its sender has a newer version, and it was withdrawn here".to_owned(),
            ),
            _ => Step::Update,
        }
    }
}

#[cfg(test)]
#[path = "version_step_tests.rs"]
mod tests;
