//! Dates and texts: a parsed date covers days in order, normalised text stays the same when normalised again, and
//! positions in a text count its code points.

use dateline_proto::v1::{FuzzyDate, Period, TextSpan, text_span::Part};
use dateline_record::{
    edtf,
    rules::quote::check_quote,
    text::{self, OffsetIndex, TextLayout},
    validate::validate,
    walk::Path,
};

use super::{assert_plain, assert_well_told};

/// Text up to a line feed is the start of a period, then its end, then its `as_of`.
pub fn edtf(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let dates: Vec<_> = text.split('\n').take(3).collect();
    for date in &dates {
        parsed(date);
    }
    let date = |index: usize| {
        dates.get(index).map(|edtf| FuzzyDate {
            edtf: (*edtf).to_owned(),
            ..FuzzyDate::default()
        })
    };
    let mut period = Period {
        start: date(0),
        end: date(1),
        as_of: date(2),
        ongoing: data.len().is_multiple_of(7),
    };
    let violations = validate(&mut period, &mut Path::default());
    if !violations.is_empty() {
        return assert_well_told(&violations);
    }
    let before = period.clone();
    assert_eq!(validate(&mut period, &mut Path::default()), []);
    assert_eq!(period, before);
}

fn parsed(text: &str) {
    let bounds = match edtf::parse(text) {
        Ok(bounds) => bounds,
        Err(error) => {
            let told = error.to_string();
            assert_plain(&told);
            assert!(told.chars().count() < 500, "{told}");
            return;
        }
    };
    assert!(!bounds.ends_before(bounds), "{text}: {bounds:?}");
    assert!(text.is_ascii() && text.len() <= 24, "{text}");
    assert_eq!(bounds.hull(bounds), bounds);
    for day in [bounds.earliest, bounds.latest].into_iter().flatten() {
        assert!((1..=9999).contains(&day.year()), "{text}: {day}");
        let read = edtf::parse(&edtf::iso(Some(day))).expect("a day is a date");
        assert_eq!((read.earliest, read.latest), (Some(day), Some(day)));
    }
}

/// A quote up to the first line feed, then the text that may contain it.
pub fn texts(data: &[u8]) {
    let Ok(all) = std::str::from_utf8(data) else {
        return;
    };
    let (quote, body) = all.split_once('\n').unwrap_or(("", all));
    let body = stored(body);
    let quote = stored(quote);
    for shown in [text::quote_for_error(&quote), text::quote_for_error(&body)] {
        assert_plain(&shown);
        assert!(shown.chars().count() <= 67, "{shown}");
    }
    let key = text::search_key(&body);
    assert_eq!(text::search_key(&key), key);
    assert!(key.len() <= 11 * body.len() + 1);
    found(&quote, &body);
}

/// The stored form of a text; normalising it again must not change it.
fn stored(sent: &str) -> String {
    let stored = text::normalize(sent).into_owned();
    assert_eq!(text::normalize(&stored), stored);
    assert!(stored.len() <= 3 * sent.len());
    let in_line = text::check(&stored, TextLayout::Line);
    let in_prose = text::check(&stored, TextLayout::Prose);
    assert!(in_line.is_err() || in_prose.is_ok(), "a line is prose");
    for error in [in_line, in_prose].into_iter().filter_map(Result::err) {
        assert_plain(&error.to_string());
    }
    if in_prose.is_ok() {
        assert!(!stored.contains(['\0', '\r', '\u{2028}']));
    }
    stored
}

/// Asserts that the quote is found exactly at the positions that are accepted as evidence.
fn found(quote: &str, body: &str) {
    let index = OffsetIndex::new(body);
    let spans = text::find_spans(body, quote);
    for (start, end) in spans.iter().take(50) {
        assert_eq!(text::slice(body, *start, *end), Some(quote));
        assert_eq!(index.slice(*start, *end), Some(quote));
    }
    let length = i32::try_from(quote.chars().count()).unwrap_or(i32::MAX);
    for start in [0, 1, spans.first().map_or(2, |(start, _)| *start)] {
        let span = TextSpan {
            part: Part::Body.into(),
            start: i32::try_from(start).unwrap_or(i32::MAX),
            end: i32::try_from(start)
                .unwrap_or(i32::MAX)
                .saturating_add(length),
            exact: quote.to_owned(),
            ..TextSpan::default()
        };
        let stands_there = spans.iter().any(|(known, _)| *known == start);
        match check_quote(&span, "", body) {
            Ok(()) => assert!(stands_there, "{span:?}"),
            Err(what) => {
                assert!(!stands_there, "{span:?}: {what}");
                assert_plain(&what);
            }
        }
    }
}
