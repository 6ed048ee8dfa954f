//! The EDTF (ISO 8601-2) level 1 profile of `FuzzyDate`, and the days that an expression or a
//! `Period` may cover. [`parse`] is the only reader of EDTF in the service; all else takes days.
//!
//! It knows no protobuf message, record kind, database or clock. Whether a period is reversed, or
//! ongoing with an end in the past, is for validation to say, which asks [`Bounds::ends_before`].

use time::{Date, Month};

const LAST_YEAR: i32 = 9999;
const QUALIFIERS: [char; 3] = ['?', '~', '%'];

/// The first and last day something may fall on, both inclusive; `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub earliest: Option<Date>,
    pub latest: Option<Date>,
}

impl Bounds {
    /// Whether every possible day of `self` lies before every possible day of `other`. A period
    /// whose end `ends_before` its start is reversed for certain.
    pub fn ends_before(self, other: Self) -> bool {
        self.latest
            .zip(other.earliest)
            .is_some_and(|(latest, earliest)| latest < earliest)
    }

    /// Whether some day lies within both.
    pub fn overlaps(self, other: Self) -> bool {
        !self.ends_before(other) && !other.ends_before(self)
    }

    /// The narrowest bounds that cover both.
    pub fn hull(self, other: Self) -> Self {
        Self {
            earliest: self
                .earliest
                .zip(other.earliest)
                .map(|(one, two)| one.min(two)),
            latest: self.latest.zip(other.latest).map(|(one, two)| one.max(two)),
        }
    }
}

/// A bound as `FuzzyDate.earliest` and `latest` carry it: an ISO date, empty if unbounded.
pub fn iso(bound: Option<Date>) -> String {
    bound.map(|day| day.to_string()).unwrap_or_default()
}

/// The days on which a thing with these times *may* have held, for "time overlaps" filters. `None`
/// when nothing is known: no time is given and it is not `ongoing`.
///
/// Whichever start, attested time and end the bounds allow, each day from start to end is covered,
/// so that a filter never leaves out a record that might match. The rest follows:
///
/// - no start: unbounded below, even with `as_of` or `end`; an office attested in September may
///   have begun years before;
/// - no end: unbounded above, `ongoing` or not; an unknown end is not an end;
/// - `as_of` never narrows; outside start and end (accepted with a warning) it widens;
/// - certainly reversed (refused by validation): the hull of both, never a range running backwards.
///
/// A caller that wants a narrower reading passes the time it knows for the one it does not: an
/// occurrence of no stated length, for which "only `start` is set", is `(start, start, …)`.
pub fn period_bounds(
    start: Option<Bounds>,
    end: Option<Bounds>,
    as_of: Option<Bounds>,
    ongoing: bool,
) -> Option<Bounds> {
    if start.or(end).or(as_of).is_none() && !ongoing {
        return None;
    }
    let held = match start.zip(end) {
        Some((start, end)) if end.ends_before(start) => start.hull(end),
        _ => Bounds {
            earliest: start.and_then(|start| start.earliest),
            latest: end.and_then(|end| end.latest),
        },
    };
    Some(as_of.map_or(held, |as_of| held.hull(as_of)))
}

/// Why an expression is refused; the text says what would be right. Safe to show: what it repeats
/// of the input is short and escaped. `position` counts code points from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("an empty date says nothing; leave it out, or put the source's words in `text`")]
    Empty,
    #[error(
        "{found:?} (U+{:04X}) at position {position} cannot stand in a date; {}",
        u32::from(*.found),
        hint(*.found)
    )]
    Character { found: char, position: usize },
    #[error("a time of day is not kept; write the day alone, such as 2021-09-15")]
    TimeOfDay,
    #[error("{0} is not a date; write YYYY, YYYY-MM or YYYY-MM-DD, such as 2021-09-15")]
    Shape(String),
    #[error("{0} is not a year; use 0001–9999")]
    Year(String),
    #[error("{0} is not a month or season; use 01–12 or 21–24")]
    MonthOrSeason(String),
    #[error("{written} is not a day of that month; use 01–{last}")]
    Day { written: String, last: u8 },
    #[error("{written} names a day of a season; write the season alone: {season}")]
    DayOfSeason { written: String, season: String },
    #[error("{written} leaves a month or day unknown; leave that part out: {instead}")]
    UnspecifiedPart { written: String, instead: String },
    #[error("{0} has X out of place; it ends a year that stands alone, as in 199X or 19XX")]
    UnspecifiedYear(String),
    #[error("{0} has ?, ~ or % out of place; one of them may follow a date, as in 2021-09?")]
    Qualifier(String),
    #[error("{0} has dots out of place; .. is one whole side of a slash, as in 1994/..")]
    Dots(String),
    #[error("more than one slash; write the first and the last date only")]
    Slashes,
    #[error("both sides are open, which says nothing; leave the date out")]
    BothOpen,
    #[error("leave `start` out instead of writing an empty side; ../1994 is 1994 or earlier")]
    EmptyLeft,
    #[error("leave `end` out instead of writing an empty side; 1994/.. is 1994 or later")]
    EmptyRight,
    #[error("{left}/{right} ends before it begins; write the earlier date first")]
    Reversed { left: String, right: String },
}

fn hint(found: char) -> &'static str {
    match found {
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FE58}' | '\u{FE63}' | '\u{FF0D}' => {
            "write the hyphen-minus, U+002D"
        }
        'x' => "write a capital X",
        'Y' => "write the year with four digits, 0001–9999",
        '[' | ']' | '{' | '}' | ',' => "write one date, or two with a slash, such as 1992/..",
        _ if found.is_whitespace() => "write the date without white space",
        _ if found.is_alphabetic() => "write numbers, such as 2021-09, or 2021-22 for summer",
        _ => "use only the digits 0–9, X, -, /, .., ?, ~ and %",
    }
}

/// The days an expression of the profile may mean. A slash says "somewhere between", not how long.
///
/// # Errors
///
/// [`Error`] for everything else, whatever the text contains.
pub fn parse(edtf: &str) -> Result<Bounds, Error> {
    if edtf.is_empty() {
        return Err(Error::Empty);
    }
    check_alphabet(edtf)?;
    match edtf.split_once('/') {
        None => simple(edtf),
        Some((_, right)) if right.contains('/') => Err(Error::Slashes),
        Some(("", _)) => Err(Error::EmptyLeft),
        Some((_, "")) => Err(Error::EmptyRight),
        Some(("..", "..")) => Err(Error::BothOpen),
        Some(("..", right)) => Ok(Bounds {
            earliest: None,
            ..simple(right)?
        }),
        Some((left, "..")) => Ok(Bounds {
            latest: None,
            ..simple(left)?
        }),
        Some((left, right)) => {
            let (from, until) = (simple(left)?, simple(right)?);
            if until.ends_before(from) {
                return Err(Error::Reversed {
                    left: left.into(),
                    right: right.into(),
                });
            }
            Ok(Bounds {
                latest: until.latest,
                ..from
            })
        }
    }
}

fn check_alphabet(edtf: &str) -> Result<(), Error> {
    let mut after_digit = false;
    for (position, found) in edtf.chars().enumerate() {
        match found {
            '0'..='9' | 'X' | '-' | '/' | '.' | '?' | '~' | '%' => {}
            ':' => return Err(Error::TimeOfDay),
            'T' if after_digit => return Err(Error::TimeOfDay),
            _ => return Err(Error::Character { found, position }),
        }
        after_digit = found.is_ascii_digit();
    }
    Ok(())
}

fn simple(written: &str) -> Result<Bounds, Error> {
    let bare = written.strip_suffix(QUALIFIERS).unwrap_or(written);
    if bare.contains(QUALIFIERS) {
        return Err(Error::Qualifier(excerpt(written)));
    }
    if bare.contains('.') {
        return Err(Error::Dots(excerpt(written)));
    }
    match *bare.splitn(4, '-').collect::<Vec<_>>() {
        ["", _, ..] => Err(Error::Year(excerpt(written))),
        [year] if year.contains('X') => unspecified_year(year),
        [year, ..] if year.contains('X') => Err(Error::UnspecifiedYear(excerpt(written))),
        [year] => {
            let year = year_number(year, written)?;
            days((year, 1, 1), (year, 12, 31))
        }
        [year, part] => month_or_season(year_number(year, written)?, part, written),
        [year, month, day] => single_day(year_number(year, written)?, month, day, written),
        _ => Err(Error::Shape(excerpt(written))),
    }
}

fn unspecified_year(written: &str) -> Result<Bounds, Error> {
    let (known, unit) = match written.strip_suffix("XX") {
        Some(century) => (digits::<i32>(century, 2), 100),
        None => (
            written
                .strip_suffix('X')
                .and_then(|decade| digits(decade, 3)),
            10,
        ),
    };
    let first = known.ok_or_else(|| Error::UnspecifiedYear(excerpt(written)))? * unit;
    // 000X and 00XX begin with the year 0, which the profile does not have.
    days((first.max(1), 1, 1), (first + unit - 1, 12, 31))
}

fn month_or_season(year: i32, part: &str, written: &str) -> Result<Bounds, Error> {
    match two_digits(part, written, || format!("{year:04}"))? {
        21 => days((year, 3, 1), (year, 6, 21)),
        22 => days((year, 6, 1), (year, 9, 23)),
        23 => days((year, 9, 1), (year, 12, 21)),
        24 if year == LAST_YEAR => days((year, 12, 1), (year, 12, 31)),
        24 => days((year, 12, 1), (year + 1, 3, 20)),
        month => {
            let last = date((year, month, 1))?.month().length(year);
            days((year, month, 1), (year, month, last))
        }
    }
}

fn single_day(year: i32, month: &str, day: &str, written: &str) -> Result<Bounds, Error> {
    let month = two_digits(month, written, || format!("{year:04}"))?;
    let part = || format!("{year:04}-{month:02}");
    if (21..=24).contains(&month) {
        return Err(Error::DayOfSeason {
            written: excerpt(written),
            season: part(),
        });
    }
    let day = (year, month, two_digits(day, written, part)?);
    days(day, day)
}

fn year_number(part: &str, written: &str) -> Result<i32, Error> {
    match digits(part, 4) {
        Some(0) => Err(Error::Year(excerpt(part))),
        Some(year) => Ok(year),
        None => Err(Error::Shape(excerpt(written))),
    }
}

fn two_digits(part: &str, written: &str, coarser: impl Fn() -> String) -> Result<u8, Error> {
    if part.contains('X') {
        return Err(Error::UnspecifiedPart {
            written: excerpt(written),
            instead: coarser(),
        });
    }
    digits(part, 2).ok_or_else(|| Error::Shape(excerpt(written)))
}

/// `str::parse` alone would take a sign and any number of digits.
fn digits<N: std::str::FromStr>(part: &str, count: usize) -> Option<N> {
    let plain = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| part.parse().ok())?
}

fn days(from: (i32, u8, u8), until: (i32, u8, u8)) -> Result<Bounds, Error> {
    Ok(Bounds {
        earliest: Some(date(from)?),
        latest: Some(date(until)?),
    })
}

fn date((year, number, day): (i32, u8, u8)) -> Result<Date, Error> {
    let part = format!("{year:04}-{number:02}");
    let Ok(month) = Month::try_from(number) else {
        return Err(Error::MonthOrSeason(part));
    };
    Date::from_calendar_date(year, month, day).map_err(|_| Error::Day {
        written: format!("{part}-{day:02}"),
        last: month.length(year),
    })
}

/// Keeps a message short whatever was sent; no expression is longer than 23 characters.
fn excerpt(written: &str) -> String {
    match written.char_indices().nth(24) {
        Some((cut, _)) => format!("{}…", written.split_at(cut).0),
        None => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use edtf::level_1::{Edtf, Precision, Terminal};
    use proptest::prelude::*;

    fn shown(edtf: &str) -> String {
        match parse(edtf) {
            Ok(bounds) => format!("{}…{}", iso(bounds.earliest), iso(bounds.latest)),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_shared_vectors_hold() {
        let vectors = include_str!("../../tests/seed/fuzzydate_vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        for case in vectors["valid"].as_array().unwrap() {
            let [edtf, earliest, latest] = ["edtf", "earliest", "latest"].map(|key| &case[key]);
            let days = [earliest, latest]
                .map(|day| day.as_str().unwrap())
                .join("…");
            assert_eq!(shown(edtf.as_str().unwrap()), days, "{edtf}");
        }
        for case in vectors["invalid"].as_array().unwrap() {
            assert!(parse(case["edtf"].as_str().unwrap()).is_err(), "{case}");
        }
    }

    #[test]
    fn an_answer_says_what_would_be_right() {
        for (edtf, expected) in [
            (
                "2021-13",
                "2021-13 is not a month or season; use 01–12 or 21–24",
            ),
            ("2021-25-01", "2021-25 is not a month or season"),
            ("2021-00", "2021-00 is not a month or season"),
            (
                "2021-02-30",
                "2021-02-30 is not a day of that month; use 01–28",
            ),
            ("1900-02-29", "use 01–28"),
            (
                "2021-9",
                "2021-9 is not a date; write YYYY, YYYY-MM or YYYY-MM-DD",
            ),
            ("21-09", "is not a date"),
            ("20210915", "20210915 is not a date"),
            ("2021-09-15-16", "2021-09-15-16 is not a date"),
            ("?", "? is not a date"),
            (
                "2022/2021",
                "2022/2021 ends before it begins; write the earlier date first",
            ),
            ("1992/", "leave `end` out instead of writing an empty side"),
            ("/1994", "leave `start` out"),
            ("../..", "both sides are open"),
            ("2021/2022/2023", "more than one slash"),
            ("1992..", "1992.. has dots out of place"),
            (
                "[1992..]",
                "'[' (U+005B) at position 0 cannot stand in a date; write one date, or",
            ),
            ("?2021", "?2021 has ?, ~ or % out of place"),
            ("2021?~", "out of place; one of them may follow a date"),
            (
                "2021–09",
                "'–' (U+2013) at position 4 cannot stand in a date; write the hyphen",
            ),
            ("\u{1b}[2J", "'\\u{1b}' (U+001B) at position 0"),
            (" 2021", "without white space"),
            ("September 2021", "write numbers, such as 2021-09"),
            ("2021-09-15T10:00:00Z", "a time of day is not kept"),
            ("Y17000", "four digits, 0001–9999"),
            ("-0044", "-0044 is not a year; use 0001–9999"),
            ("0000", "0000 is not a year"),
            ("2021-22-05", "write the season alone: 2021-22"),
            ("2021-XX-XX", "leave that part out: 2021"),
            ("2021-09-XX", "leave that part out: 2021-09"),
            ("1XXX", "1XXX has X out of place"),
            ("199X-05", "199X-05 has X out of place"),
            ("199x", "write a capital X"),
            ("", "an empty date says nothing"),
            (&"9".repeat(1000), "999999999999999999999999… is not a date"),
        ] {
            assert!(shown(edtf).contains(expected), "{edtf:?}: {}", shown(edtf));
        }
    }

    #[test]
    fn the_ends_of_the_calendar_neither_overflow_nor_reach_year_0() {
        for (edtf, expected) in [
            ("9999-24", "9999-12-01…9999-12-31"),
            ("9998-24", "9998-12-01…9999-03-20"),
            ("99XX", "9900-01-01…9999-12-31"),
            ("9999/..", "9999-01-01…"),
            ("0001-01-01", "0001-01-01…0001-01-01"),
            ("000X", "0001-01-01…0009-12-31"),
            ("00XX", "0001-01-01…0099-12-31"),
            ("2000-02", "2000-02-01…2000-02-29"),
            ("1900-02", "1900-02-01…1900-02-28"),
            ("2021-12/2021", "2021-12-01…2021-12-31"),
        ] {
            assert_eq!(shown(edtf), expected, "{edtf}");
        }
    }

    /// First days by the `edtf` crate, which computes no bounds, where its profile is ours.
    fn oracle(edtf: &str) -> Option<String> {
        let (from, until) = match Edtf::parse(edtf).ok()? {
            Edtf::Date(date) => (Some(date), Some(date)),
            Edtf::Interval(from, until) => (Some(from), Some(until)),
            Edtf::IntervalFrom(from, Terminal::Open) => (Some(from), None),
            Edtf::IntervalTo(Terminal::Open, until) => (None, Some(until)),
            _ => return None,
        };
        let first_day = |precision| match precision {
            Precision::Year(year) | Precision::Decade(year) | Precision::Century(year) => {
                Some(format!("{:04}-01-01", year.max(1)))
            }
            Precision::Season(year, season) => {
                Some(format!("{year:04}-{:02}-01", (season as u32 - 20) * 3))
            }
            Precision::Month(year, month) => Some(format!("{year:04}-{month:02}-01")),
            Precision::Day(year, month, day) => Some(format!("{year:04}-{month:02}-{day:02}")),
            _ => None,
        };
        until.map_or(Some(String::new()), |date| first_day(date.precision()))?;
        from.map_or(Some(String::new()), |date| first_day(date.precision()))
    }

    fn expression() -> impl Strategy<Value = String> {
        let date = "([0-9]{4}|[12][0-9]{2}X|[0-9]{2}XX)(-([012][0-9]|XX)(-([0-3][0-9]|XX))?)?";
        let side = format!(r"({date}[?~%]?|\.\.)");
        proptest::string::string_regex(&format!("{side}(/{side})?")).unwrap()
    }

    fn bounds() -> impl Strategy<Value = Option<Bounds>> {
        proptest::option::of(expression().prop_filter_map("refused", |edtf| parse(&edtf).ok()))
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_bounds_run_backwards(any in ".*", near in "[0-9X/.?~%TZ-]{0,24}") {
            for text in [any, near] {
                prop_assert!(parse(&text).map_or(true, |bounds| !bounds.ends_before(bounds)));
            }
        }

        #[test]
        fn the_edtf_crate_agrees(edtf in expression()) {
            match (parse(&edtf), oracle(&edtf)) {
                (Ok(bounds), Some(first)) => prop_assert_eq!(iso(bounds.earliest), first),
                (Err(Error::Reversed { .. } | Error::Year(_)), _) | (Err(_), None) => {}
                (ours, theirs) => prop_assert!(false, "{edtf}: {ours:?}, {theirs:?}"),
            }
        }

        #[test]
        fn a_period_covers_all_it_may_mean(
            start in bounds(), end in bounds(), as_of in bounds(), picks in [0..3_652_000_i32; 3],
        ) {
            let mut days = picks.map(|day| Date::from_julian_day(1_721_426 + day).unwrap());
            days.sort();
            let allowed = [start, as_of, end].iter().zip(days).all(|(bounds, day)| {
                let day = Bounds { earliest: Some(day), latest: Some(day) };
                bounds.is_none_or(|bounds| bounds.overlaps(day))
            });
            let whole = Bounds { earliest: Some(days[0]), latest: Some(days[2]) };
            match period_bounds(start, end, as_of, false) {
                Some(period) if allowed => prop_assert_eq!(period.hull(whole), period),
                Some(period) => prop_assert!(!period.ends_before(period)),
                None => prop_assert!(start.or(end).or(as_of).is_none()),
            }
        }
    }

    #[test]
    fn an_unknown_end_is_not_an_end() {
        let [nineties, later] = ["199X", "2001/.."].map(|edtf| parse(edtf).ok());
        for (start, end, as_of, expected) in [
            (nineties, None, None, "1990-01-01…"),
            (None, nineties, None, "…1999-12-31"),
            (None, None, nineties, "…"),
            (nineties, nineties, None, "1990-01-01…1999-12-31"),
            (nineties, later, nineties, "1990-01-01…"),
            (later, nineties, None, "1990-01-01…"),
        ] {
            let period = period_bounds(start, end, as_of, false).unwrap();
            let days = format!("{}…{}", iso(period.earliest), iso(period.latest));
            assert_eq!(days, expected);
        }
        assert!(period_bounds(None, None, None, true).is_some());
    }
}
