//! Fuzzy dates of every form in the profile, with their wording in an article.

use dateline_proto::v1::{FuzzyDate, Period, fuzzy_date::Basis};

use super::rng::SeededRng;

const SEASONS: [&str; 4] = ["spring", "summer", "autumn", "winter"];
const MARKS: [&str; 3] = ["?", "~", "%"];

/// A date in a year.
pub(super) fn date(year: i32, rng: &mut SeededRng) -> FuzzyDate {
    let (edtf, text) = match rng.below(16) {
        0..=4 => day(year, rng),
        5..=6 => month(year, rng),
        7 => season(year, rng),
        8 => (year.to_string(), year.to_string()),
        9 => (format!("{}X", year / 10), format!("{}0s", year / 10)),
        10 => (format!("{}XX", year / 100), format!("{}00s", year / 100)),
        11 => {
            let (edtf, text) = month(year, rng);
            (edtf + *rng.pick(&MARKS), format!("around {text}"))
        }
        12 => (
            format!("{}/{year}", year - 3),
            format!("between {} and {year}", year - 3),
        ),
        13 => (format!("{year}/.."), format!("{year} or later")),
        14 => (format!("../{year}-06"), format!("by June {year}")),
        _ => (String::new(), "not long ago".to_owned()),
    };
    FuzzyDate {
        basis: basis(rng).into(),
        edtf,
        text,
        ..FuzzyDate::default()
    }
}

/// A whole day, as in a date of publication.
pub(super) fn day_of(year: i32, rng: &mut SeededRng) -> FuzzyDate {
    FuzzyDate {
        edtf: day(year, rng).0,
        basis: basis(rng).into(),
        ..FuzzyDate::default()
    }
}

fn basis(rng: &mut SeededRng) -> Basis {
    if rng.one_in(5) {
        Basis::Inferred
    } else {
        Basis::Unspecified
    }
}

/// A period around a year: open, ended, ongoing, or only attested.
pub(super) fn period(year: i32, rng: &mut SeededRng) -> Period {
    let mut period = Period::default();
    match rng.below(5) {
        0 => period.as_of = Some(date(year, rng)),
        1 => {
            period.start = Some(date(year, rng));
            period.end = Some(date(year + 5, rng));
        }
        2 => {
            period.start = Some(date(year, rng));
            period.ongoing = true;
        }
        3 => period.end = Some(date(year, rng)),
        _ => period.start = Some(date(year, rng)),
    }
    period
}

/// The words of a period's first date, or those for no date.
pub(super) fn first_date_text(period: Option<&Period>) -> &str {
    period
        .and_then(|period| {
            let dates = [&period.start, &period.as_of, &period.end];
            dates.into_iter().flatten().next()
        })
        .map_or("no date was given", |date| date.text.as_str())
}

fn day(year: i32, rng: &mut SeededRng) -> (String, String) {
    let (month, day) = (rng.between(1, 12), rng.between(1, 28));
    (
        format!("{year}-{month:02}-{day:02}"),
        format!("{day}.{month}.{year}"),
    )
}

fn month(year: i32, rng: &mut SeededRng) -> (String, String) {
    let month = rng.between(1, 12);
    (format!("{year}-{month:02}"), format!("{month}.{year}"))
}

fn season(year: i32, rng: &mut SeededRng) -> (String, String) {
    let index = rng.below(SEASONS.len());
    (
        format!("{year}-{}", 21 + index),
        format!("{} {year}", SEASONS[index]),
    )
}
