//! Dates of items: the publisher's date with its precision, and instants that restrict the use of an item.

use std::sync::LazyLock;

use dateline_proto::v1::{FuzzyDate, fuzzy_date::Basis};
use regex::{Captures, Regex};
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use super::fields::Item;

/// A year, a month, a day, or a day with a time and an offset, as ISO 8601 and feeds write them.
static DATE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)^(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,]\d+)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?$",
    )
    .ok()
});

/// A date as written.
pub(super) struct ParsedDate {
    /// 2021, 2021-09 or 2021-09-15: the local date as written, not in UTC.
    pub edtf: String,
    /// The first and the last instant that it may denote.
    pub earliest: OffsetDateTime,
    pub latest: OffsetDateTime,
}

/// Parses a date.
///
/// # Errors
/// If it is not a date.
pub(super) fn read(key: &str, written: &str) -> Result<ParsedDate, String> {
    let refused = || format!("{key} is no date that can be read: {written:?}");
    let pattern = DATE.as_ref();
    let parts = pattern.and_then(|pattern| pattern.captures(written));
    parts.as_ref().and_then(instants).ok_or_else(refused)
}

fn instants(parts: &Captures<'_>) -> Option<ParsedDate> {
    let number = |index: usize| Some(parts.get(index)?.as_str().parse::<u8>().ok());
    let year: i32 = parts[1].parse().ok()?;
    let edtf = [1, 2, 3]
        .into_iter()
        .filter_map(|index| Some(parts.get(index)?.as_str()));
    let edtf = edtf.collect::<Vec<_>>().join("-");
    let month = number(2).unwrap_or(Some(1))?;
    let day = Date::from_calendar_date(
        year,
        Month::try_from(month).ok()?,
        number(3).unwrap_or(Some(1))?,
    )
    .ok()?;
    // A date without a time may begin 14 hours before it does in UTC, and end 12 hours after.
    let west = UtcOffset::from_hms(-12, 0, 0).ok()?;
    let east = UtcOffset::from_hms(14, 0, 0).ok()?;
    let Some(hour) = number(4) else {
        let last = match (parts.get(2), parts.get(3)) {
            (None, _) => Date::from_calendar_date(year, Month::December, 31).ok()?,
            (_, None) => {
                let days = day.month().length(year);
                day.replace_day(days).ok()?
            }
            _ => day,
        };
        let end = PrimitiveDateTime::new(last, Time::MIDNIGHT).checked_add(Duration::DAY)?;
        return Some(ParsedDate {
            edtf,
            earliest: PrimitiveDateTime::new(day, Time::MIDNIGHT).assume_offset(east),
            latest: end.assume_offset(west),
        });
    };
    let (hour, minute) = (hour?, number(5)??);
    let second = number(6).unwrap_or(Some(0))?;
    // 24:00 is the end of the day, and a leap second the end of the minute.
    let is_day_end = (hour, minute, second) == (24, 0, 0);
    let time = Time::from_hms(
        if is_day_end { 0 } else { hour },
        minute,
        if second == 60 { 59 } else { second },
    );
    let mut at = PrimitiveDateTime::new(day, time.ok()?);
    if is_day_end {
        at = at.checked_add(Duration::DAY)?;
    }
    let (earliest, latest) = match parts.get(7).map(|offset| offset.as_str()) {
        None => (at.assume_offset(east), at.assume_offset(west)),
        Some(offset) => {
            let at = at.assume_offset(self::offset(offset)?);
            (at, at)
        }
    };
    Some(ParsedDate {
        edtf,
        earliest,
        latest,
    })
}

fn offset(written: &str) -> Option<UtcOffset> {
    if written.eq_ignore_ascii_case("z") {
        return Some(UtcOffset::UTC);
    }
    let digits = written.get(1..)?.replace(':', "");
    let hours: i8 = digits.get(..2)?.parse().ok()?;
    let minutes: i8 = digits
        .get(2..4)
        .map_or(Some(0), |minutes| minutes.parse().ok())?;
    let sign = if written.starts_with('-') { -1 } else { 1 };
    UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()
}

impl Item<'_> {
    /// Reads a date; `None` if there is none or the text is empty.
    ///
    /// # Errors
    /// If it cannot be parsed.
    pub(super) fn date(&mut self, field: &str) -> Result<Option<(String, ParsedDate)>, String> {
        let Some((key, value)) = self.remove_with_key(field) else {
            return Ok(None);
        };
        let Some(written) = value.as_str().map(str::trim) else {
            return Err(format!("{key} is no date that can be read: {value}"));
        };
        if written.is_empty() {
            return Ok(None);
        }
        let read = read(&key, written)?;
        Ok(Some((key, read)))
    }

    /// The publisher's date. If the item does not say when its content was created, the date of its first version is
    /// used and marked as inferred.
    ///
    /// # Errors
    /// If a date cannot be parsed.
    pub(super) fn published(
        &mut self,
        version: &str,
        version_created: Option<&ParsedDate>,
        infers: bool,
    ) -> Result<Option<FuzzyDate>, String> {
        let content = self.date("contentcreated")?;
        let first = self.date("firstcreated")?;
        let is_first = version == "1";
        let inferred = match (&first, version_created) {
            (Some((_, first)), _) => Some(first),
            (None, Some(created)) if is_first => Some(created),
            _ => None,
        };
        let (written, basis) = match (&content, inferred) {
            (Some((_, content)), _) => (content, Basis::Unspecified),
            (None, Some(inferred)) if infers => (inferred, Basis::Inferred),
            _ => return Ok(None),
        };
        Ok(Some(FuzzyDate {
            edtf: written.edtf.clone(),
            basis: basis.into(),
            ..FuzzyDate::default()
        }))
    }
}
