//! The EDTF (ISO 8601-2) profile of `FuzzyDate`, and the days that an expression may cover: level 1, and of level 2 the
//! parts of a year. [`parse`] is the only parser of EDTF in the service; all other code uses days.
//!
//! Does not depend on protobuf messages, record kinds, the database or a clock. Validation decides whether a period is
//! reversed, or ongoing with an end in the past.

use time::{Date, Month};

const ALPHABET: &str = "0123456789X-/.?~%";

/// The first and last possible day, both inclusive; `None` is unbounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// First possible day; `None` is unbounded.
    pub earliest: Option<Date>,
    /// Last possible day; `None` is unbounded.
    pub latest: Option<Date>,
}

impl Bounds {
    /// Bounds from the first and the last day.
    pub const fn new(earliest: Option<Date>, latest: Option<Date>) -> Self {
        Self { earliest, latest }
    }

    /// True if every possible day of `self` lies before every possible day of `other`. A period whose end `ends_before`
    /// its start is reversed for certain.
    pub fn ends_before(self, other: Self) -> bool {
        self.latest.zip(other.earliest).is_some_and(|(a, b)| a < b)
    }

    /// True if some day lies within both.
    pub fn overlaps(self, other: Self) -> bool {
        !self.ends_before(other) && !other.ends_before(self)
    }

    /// The narrowest bounds that cover both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        let earliest = self.earliest.zip(other.earliest).map(|(a, b)| a.min(b));
        let latest = self.latest.zip(other.latest).map(|(a, b)| a.max(b));
        Self::new(earliest, latest)
    }
}

/// A bound in the form of `FuzzyDate.earliest` and `latest`: an ISO date, empty if unbounded.
pub fn iso(bound: Option<Date>) -> String {
    bound.map(|day| day.to_string()).unwrap_or_default()
}

/// The reason why an expression is refused, with the correct form. Safe to send to a client: parts of the input are
/// short and escaped. `position` counts code points from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what each means")]
pub enum Error {
    #[error("an empty date says nothing; leave it out, or put the source's words in `text`")]
    Empty,
    #[error("{found:?} at position {position} cannot stand in a date; {}", hint(*.found))]
    Character { found: char, position: usize },
    #[error("{0:.24} is not a date; write YYYY, YYYY-MM or YYYY-MM-DD, such as 2021-09-15")]
    Shape(String),
    #[error("{0:.24} is not a year; use 0001–9999")]
    Year(String),
    #[error(
        "{0:.24} is not a month or season; use 01–12, or 21–41 for seasons, quarters and halves"
    )]
    MonthOrSeason(String),
    #[error("{0} has no such day; use 01–{1}")]
    Day(String, u8),
    #[error("{0:.24} names a day of a season; a season may be written alone, such as 2021-22")]
    DayOfSeason(String),
    #[error("{0:.24} has X out of place; leave an unknown month or day out, or write 199X or 19XX")]
    Unspecified(String),
    #[error("{0:.24} has ?, ~, % or .. out of place; write 2021-09? (one mark, last) or 1994/..")]
    Mark(String),
    #[error("more than one slash or open side; write the first and the last date, such as 1994/..")]
    Sides,
    #[error("leave `start` out instead of writing an empty side; ../1994 is 1994 or earlier")]
    EmptyLeft,
    #[error("leave `end` out instead of writing an empty side; 1994/.. is 1994 or later")]
    EmptyRight,
    #[error("{0:.24} ends before it begins; write the earlier date first")]
    Reversed(String),
}

fn hint(found: char) -> &'static str {
    match found {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "write the hyphen-minus, U+002D",
        'x' => "write a capital X",
        'T' | ':' => "write the day alone, such as 2021-09-15; no time of day is kept",
        'Y' => "write the year with four digits, 0001–9999",
        '[' | ']' | '{' | '}' | ',' => "write one date, or two with a slash, such as 1992/..",
        _ if found.is_whitespace() => "write the date without white space",
        _ if found.is_alphabetic() => "write numbers, such as 2021-09, or 2021-22 for summer",
        _ => "use only the digits 0–9, X, -, /, .., ?, ~ and %",
    }
}

/// The possible days of an expression of the profile. A slash means "somewhere between", not a duration.
///
/// # Errors
///
/// [`Error`] for any other text.
pub fn parse(edtf: &str) -> Result<Bounds, Error> {
    let mut characters = edtf.chars().enumerate();
    if let Some((position, found)) = characters.find(|(_, found)| !ALPHABET.contains(*found)) {
        return Err(Error::Character { found, position });
    }
    match edtf.split_once('/') {
        None if edtf.is_empty() => Err(Error::Empty),
        None if edtf != ".." => simple(edtf),
        None | Some(("..", "..")) => Err(Error::Sides),
        Some((_, right)) if right.contains('/') => Err(Error::Sides),
        Some(("", _)) => Err(Error::EmptyLeft),
        Some((_, "")) => Err(Error::EmptyRight),
        Some((left, right)) => {
            let (from, until) = (simple(left)?, simple(right)?);
            if until.ends_before(from) {
                return Err(Error::Reversed(edtf.into()));
            }
            Ok(Bounds::new(from.earliest, until.latest))
        }
    }
}

/// Parses one side of a slash, or an expression without one.
fn simple(written: &str) -> Result<Bounds, Error> {
    if written == ".." {
        return Ok(Bounds::new(None, None));
    }
    let bare = written.strip_suffix(['?', '~', '%']).unwrap_or(written);
    if bare.contains(['?', '~', '%', '.']) {
        return Err(Error::Mark(written.into()));
    }
    if bare.contains('X') {
        return unspecified(bare);
    }
    let mut parts = bare.split('-');
    let year: Option<i32> = parts.next().and_then(|part| digits(part, 4));
    let rest: Option<Vec<u8>> = parts.map(|part| digits(part, 2)).collect();
    match (year, rest.as_deref()) {
        (Some(0), _) => Err(Error::Year(written.into())),
        (None, _) if bare.starts_with('-') => Err(Error::Year(written.into())),
        (Some(year), Some([])) => days((year, 1, 1), (year, 12, 31)),
        (Some(year), Some(&[code @ 21..=41])) => part_of_year(year, code),
        (Some(year), Some(&[month])) => {
            let last = date((year, month, 1))?.month().length(year);
            days((year, month, 1), (year, month, last))
        }
        (Some(_), Some([21..=41, _])) => Err(Error::DayOfSeason(written.into())),
        (Some(year), Some(&[month, day])) => days((year, month, day), (year, month, day)),
        _ => Err(Error::Shape(written.into())),
    }
}

/// First month, last month and last day of a part of a year; one that wraps ends in the next year.
type YearPart = (u8, u8, u8);

/// The seasons with their northern names, each the union of the astronomical and the meteorological one. The southern
/// hemisphere has the same parts of the year under the opposite names.
const SPRING: YearPart = (3, 6, 21);
const SUMMER: YearPart = (6, 9, 23);
const AUTUMN: YearPart = (9, 12, 21);
const WINTER: YearPart = (12, 3, 20);

/// Seasons, quarters, thirds and halves of a year. The codes 21 to 24 name no hemisphere, so both readings are
/// possible.
fn part_of_year(year: i32, code: u8) -> Result<Bounds, Error> {
    let equal = |first: u8, months: u8| {
        let last = first * months;
        (
            last - months + 1,
            last,
            if matches!(last, 4 | 6 | 9) { 30 } else { 31 },
        )
    };
    let (part, other) = match code {
        21 => (SPRING, Some(AUTUMN)),
        22 => (SUMMER, Some(WINTER)),
        23 => (AUTUMN, Some(SPRING)),
        24 => (WINTER, Some(SUMMER)),
        25 | 31 => (SPRING, None),
        26 | 32 => (SUMMER, None),
        27 | 29 => (AUTUMN, None),
        28 | 30 => (WINTER, None),
        33..=36 => (equal(code - 32, 3), None),
        37..=39 => (equal(code - 36, 4), None),
        _ => (equal(code - 39, 6), None),
    };
    let bounds = part_days(year, part)?;
    other.map_or(Ok(bounds), |other| Ok(bounds.hull(part_days(year, other)?)))
}

fn part_days(year: i32, (first, last, day): YearPart) -> Result<Bounds, Error> {
    let until = match (last < first, year) {
        (false, _) => (year, last, day),
        // The profile ends with the year 9999.
        (true, 9999) => (year, 12, 31),
        (true, _) => (year + 1, last, day),
    };
    days((year, first, 1), until)
}

fn unspecified(written: &str) -> Result<Bounds, Error> {
    let (known, unit) = match written.strip_suffix("XX") {
        Some(century) => (digits::<i32>(century, 2), 100),
        None => (digits(written.trim_end_matches('X'), 3), 10),
    };
    let first = known.ok_or_else(|| Error::Unspecified(written.into()))? * unit;
    // 000X and 00XX begin with the year 0, which the profile does not have.
    days((first.max(1), 1, 1), (first + unit - 1, 12, 31))
}

/// Parses exactly `count` digits; `str::parse` alone would accept a sign and any number of digits.
fn digits<N: std::str::FromStr>(part: &str, count: usize) -> Option<N> {
    let plain = part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| part.parse().ok())?
}

fn days(from: (i32, u8, u8), until: (i32, u8, u8)) -> Result<Bounds, Error> {
    Ok(Bounds::new(Some(date(from)?), Some(date(until)?)))
}

fn date((year, number, day): (i32, u8, u8)) -> Result<Date, Error> {
    let part = format!("{year:04}-{number:02}");
    let Ok(month) = Month::try_from(number) else {
        return Err(Error::MonthOrSeason(part));
    };
    let refused = |_| Error::Day(part, month.length(year));
    Date::from_calendar_date(year, month, day).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Inputs separated by `|`, then a part of the expected days or error.
    const CASES: &str = "\
2021-13|2021-13/.. => 2021-13 is not a month or season; use 01–12, or 21–41
2021-20|2021-42|2021-99 => is not a month or season; use 01–12, or 21–41
2021-02-30|1900-02-29 => -02 has no such day; use 01–28
2021-9|21-09|20210915|?|2021-09-15-16 =>  is not a date; write YYYY
2022/2021|2021-09/2021-08-31 =>  ends before it begins; write the earlier date
1992/ => leave `end` out instead of writing an empty side; 1994/.. is
/1994|/ => leave `start` out instead of writing an empty side; ../1994 is
../..|..|2021/2022/2023 => more than one slash or open side
[1992..] => '[' at position 0 cannot stand in a date; write one date, or two
?2021|2021?~|2021%%|2021?-09|1992..|. => has ?, ~, % or .. out of place; write
2021–09 => '–' at position 4 cannot stand in a date; write the hyphen-minus
\u{1b}[2J => '\\u{1b}' at position 0 cannot stand in a date; use only the digits
September 2021 => write numbers, such as 2021-09
2021-09-15T10:00:00Z => 'T' at position 10 cannot stand in a date; write the day
Y17000 => with four digits, 0001–9999
-0044|0000|0000-01-01 =>  is not a year; use 0001–9999
2021-22-05|2021-30-01|2021-41-05 => names a day of a season; a season may be written alone
2021-XX|2021-1X|2021-09-XX|1XXX|199X-05|X|19X => has X out of place; leave
 => an empty date says nothing
1111222233334444555566667777 => 111122223333444455556666 is not
9999-28|9999-30 => 9999-12-01…9999-12-31
9999-22|9999-24 => 9999-06-01…9999-12-31
2021-09-15/2021-09-15 => 2021-09-15…2021-09-15
00XX => 0001-01-01…0099-12-31";

    fn format_bounds(bounds: Bounds) -> String {
        [bounds.earliest, bounds.latest].map(iso).join("…")
    }

    #[test]
    fn an_answer_gives_the_days_or_says_what_would_be_right() {
        for (inputs, expected) in CASES.lines().filter_map(|line| line.split_once(" => ")) {
            for edtf in inputs.split('|') {
                let answer = parse(edtf).map_or_else(|error| error.to_string(), format_bounds);
                assert!(answer.contains(expected), "{edtf:?}: {answer}");
            }
        }
    }

    #[test]
    fn the_shared_vectors_hold() {
        let vectors = include_str!("../../../seed/fuzzydate_vectors.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let lists = ["valid", "invalid"].map(|list| vectors[list].as_array().unwrap());
        for case in lists.into_iter().flatten() {
            let days = ["earliest", "latest"].map(|key| case[key].as_str().unwrap_or("refused"));
            let answer = parse(case["edtf"].as_str().unwrap());
            let answer = answer.map_or("refused…refused".into(), format_bounds);
            assert_eq!(answer, days.join("…"), "{case}");
        }
    }

    /// The days by the `edtf-core` crate, which supports all of EDTF; its seasons are shorter, and northern only.
    fn oracle(edtf: &str) -> Option<Bounds> {
        let bounds = edtf_core::Edtf::parse(edtf).ok()?.bounds();
        let [earliest, latest] = [bounds.earliest, bounds.latest].map(|bound| match bound {
            edtf_core::Bound::Date(day) => {
                let month = Month::try_from(day.month).unwrap();
                let year = i32::try_from(day.year.max(1)).unwrap();
                Date::from_calendar_date(year, month, day.day).ok()
            }
            _ => None,
        });
        Some(Bounds::new(earliest, latest))
    }

    fn names_a_season(edtf: &str) -> bool {
        edtf.split('/').any(|side| {
            let month = side.split('-').nth(1).unwrap_or_default();
            matches!(month.trim_end_matches(['?', '~', '%']).parse(), Ok(21..=32))
        })
    }

    fn expression() -> impl Strategy<Value = String> {
        let date = "([0-9]{4}|[0-9]{3}X|[0-9]{2}XX)(-([012][0-9]|3[0-9]|4[01]|XX)(-([0-3][0-9]|XX))?)?[?~%]?";
        proptest::string::string_regex(&format!(r"({date}|\.\.)(/({date}|\.\.))?")).unwrap()
    }

    proptest! {
        #[test]
        fn the_edtf_core_crate_agrees_and_no_text_panics(edtf in expression(), text in ".*") {
            prop_assert!(parse(&text).map_or(true, |bounds| !bounds.ends_before(bounds)));
            match (parse(&edtf), oracle(&edtf)) {
                (Ok(ours), Some(theirs)) if names_a_season(&edtf) => {
                    prop_assert_eq!(ours, ours.hull(theirs));
                }
                (Ok(ours), Some(theirs)) => prop_assert_eq!(ours, theirs),
                // The profile excludes the year 0, and entirely unspecified months and days.
                (Err(Error::Reversed(_) | Error::Year(_) | Error::Unspecified(_)), _)
                | (Err(_), None) => {}
                (ours, theirs) => prop_assert!(false, "{edtf}: {ours:?}, {theirs:?}"),
            }
        }
    }
}
