//! Conversion of values to and from columns: states, kinds and types are text, days are ranges.

use dateline_proto::v1::{Kind, State, change};
use dateline_record::{
    edtf::Bounds,
    index::state_facet,
    name::{KINDS, Name, kind_label},
    sequence::Sequence,
};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;
use time::Date;

use super::{Error, positions::Positions};

/// Value of `records.state` for a deleted draft.
pub(super) const DELETED: &str = "deleted";

pub(super) fn state_column(state: State) -> String {
    state_facet(state)
}

pub(super) fn state(column: &str) -> Result<State, Error> {
    State::from_str_name(&format!("STATE_{}", column.to_ascii_uppercase()))
        .ok_or_else(|| unknown("state", column))
}

pub(super) fn kind(column: &str) -> Result<Kind, Error> {
    KINDS
        .into_iter()
        .find(|kind| kind_label(*kind) == column)
        .ok_or_else(|| unknown("kind", column))
}

pub(super) fn type_column(change_type: change::Type) -> String {
    change_type
        .as_str_name()
        .trim_start_matches("TYPE_")
        .to_ascii_lowercase()
}

pub(super) fn change_type(column: &str) -> Result<change::Type, Error> {
    change::Type::from_str_name(&format!("TYPE_{}", column.to_ascii_uppercase()))
        .ok_or_else(|| unknown("type", column))
}

pub(super) fn name(column: &str) -> Result<Name, Error> {
    Name::parse(column).ok_or_else(|| unknown("name", column))
}

/// Reads a sequence, which is at least 1 by constraint.
pub(super) fn sequence(column: i64) -> Result<Sequence, Error> {
    Sequence::from_i64(column).ok_or_else(|| unknown("sequence", &column.to_string()))
}

/// Reads the number of an epoch.
pub(super) fn epoch(column: i64) -> Result<u64, Error> {
    u64::try_from(column).map_err(|_| unknown("epoch", &column.to_string()))
}

/// Reads the sequences of both feeds.
pub(super) fn positions(desk: i64, wire: i64) -> Result<Positions, Error> {
    Ok(Positions {
        desk: sequence(desk)?,
        wire: sequence(wire)?,
    })
}

fn unknown(column: &str, value: &str) -> Error {
    Error::Corrupt(format!("{column} {value:?}"))
}

pub(super) fn range(days: Bounds) -> PgRange<Date> {
    let bound = |day: Option<Date>| day.map_or(Bound::Unbounded, Bound::Included);
    // Postgres stores the day after the last one; the day after `Date::MAX` could not be read back.
    PgRange {
        start: bound(days.earliest),
        end: bound(days.latest.filter(|day| *day < Date::MAX)),
    }
}

pub(super) fn days(range: PgRange<Date>) -> Bounds {
    // Postgres returns day ranges with an exclusive end: the last day is the one before.
    let day = |bound: Bound<Date>, excluded: fn(Date) -> Option<Date>| match bound {
        Bound::Included(day) => Some(day),
        Bound::Excluded(day) => excluded(day),
        Bound::Unbounded => None,
    };
    Bounds {
        earliest: day(range.start, Date::next_day),
        latest: day(range.end, Date::previous_day),
    }
}
