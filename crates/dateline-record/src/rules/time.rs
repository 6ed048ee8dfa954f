//! Dates and periods: their possible days, and certain contradictions. There is no clock here, so nothing is compared
//! with the present.

use dateline_proto::v1::{FuzzyDate, Period};

use super::RuleReporter;
use crate::{
    edtf::{self, Bounds},
    text,
};

/// Clears the bounds that a client sent (domain rule 5).
pub(super) fn clear_bounds(date: &mut FuzzyDate) {
    (date.earliest, date.latest) = (String::new(), String::new());
}

/// Computes the bounds, which were cleared before.
pub(super) fn date(date: &mut FuzzyDate, report: &mut RuleReporter<'_>) {
    if date.edtf.is_empty() {
        if text::is_blank(&date.text) {
            report.refuse("", edtf::Error::Empty.to_string());
        }
        return;
    }
    // An unreadable date was already refused as a string.
    if let Ok(bounds) = edtf::parse(&date.edtf) {
        date.earliest = edtf::iso(bounds.earliest);
        date.latest = edtf::iso(bounds.latest);
    }
}

pub(super) fn period(period: &Period, report: &mut RuleReporter<'_>) {
    if period.ongoing && period.end.is_some() {
        let what = "is given although the period is ongoing; it is either ongoing or ended";
        report.refuse("end", what);
    }
    let (start, end) = (days(period.start.as_ref()), days(period.end.as_ref()));
    if let (Some(start), Some(end)) = (start, end)
        && end.ends_before(start)
    {
        let what = format!(
            "lies before the start for certain: it is over by {}, and the start is no earlier than {}",
            edtf::iso(end.latest),
            edtf::iso(start.earliest)
        );
        report.refuse("end", what);
    }
    if let Some(as_of) = days(period.as_of.as_ref())
        && (start.is_some_and(|start| as_of.ends_before(start))
            || end.is_some_and(|end| end.ends_before(as_of)))
    {
        let what = "lies outside start and end for certain; one of them may be wrong";
        report.warn("as_of", "AS_OF_OUTSIDE_PERIOD", what);
    }
}

fn days(date: Option<&FuzzyDate>) -> Option<Bounds> {
    edtf::parse(&date?.edtf).ok()
}
