//! Dates and periods, by the rows of the catalogue of bad input.

use dateline_proto::v1::record::Kind as Body;
use serde_json::{Value, json};

use super::fixture_tests::*;

#[test]
fn d1_a_date_says_something_and_can_be_read() {
    let start = |date: Value| event(json!({"time": {"start": date}}));
    for (edtf, words) in [
        ("2021-13", "use 01–12, or 21–41"),
        ("2021–09", "write the hyphen-minus"),
        ("1992/", "leave `end` out"),
    ] {
        refused(&start(json!({"edtf": edtf})), &[("time.start.edtf", words)]);
    }
    refused(
        &start(json!({"text": " "})),
        &[("time.start", "an empty date says nothing")],
    );
    accepted(&start(json!({"text": "later"})));
    for code in 21..=41 {
        accepted(&start(json!({"edtf": format!("2021-{code}?")})));
    }
}

#[test]
fn bounds_are_those_of_the_date_whatever_was_said_before() {
    for (edtf, said, bounds) in [
        ("2021-09", "1066-01-01", ("2021-09-01", "2021-09-30")),
        ("2021/..", "1066-01-01", ("2021-01-01", "")),
        // Summer of either hemisphere; then of the southern one alone.
        ("2021-22", "2021-06-01", ("2021-06-01", "2022-03-20")),
        ("2021-30", "2021-06-01", ("2021-12-01", "2022-03-20")),
        // A masked edit may remove the EDTF of earlier bounds.
        ("", "1066-01-01", ("", "")),
        // Not even an invalid bound is refused.
        ("2021-09", "\0", ("2021-09-01", "2021-09-30")),
    ] {
        let date = json!({"edtf": edtf, "text": "later", "earliest": said, "latest": said});
        let (body, found) = checked(&event(json!({"time": {"start": date}})));
        assert!(found.violations.is_empty(), "{edtf}: {found:?}");
        let Body::Event(event) = body else { panic!() };
        let start = event.time.unwrap().start.unwrap();
        assert_eq!((&*start.earliest, &*start.latest), bounds, "{edtf}");
    }
}

#[test]
fn d2_a_period_that_ends_before_it_starts_for_certain_is_refused() {
    let time = |start: &str, end: &str| {
        event(json!({"time": {"start": {"edtf": start}, "end": {"edtf": end}}}))
    };
    let words = "it is over by 2021-05-31, and the start is no earlier than 2021-06-01";
    refused(&time("2021-22", "2021-05"), &[("time.end", words)]);
    for (start, end) in [
        ("2021-22", "2021-06"),
        ("2021-09", "2021"),
        ("1994/..", "1990/.."),
    ] {
        accepted(&time(start, end));
    }
}

#[test]
fn d3_a_period_is_ongoing_or_ended_and_as_of_may_lie_outside_with_a_warning() {
    let time = |fields: Value| relation(json!({"period": fields}));
    for start in [json!(null), json!({"edtf": "2019"})] {
        refused(
            &time(json!({"ongoing": true, "start": start, "end": {"edtf": "2020"}})),
            &[("period.end", "either ongoing or ended")],
        );
    }
    accepted(&time(json!({"ongoing": true, "asOf": {"edtf": "2020"}})));
    for (start, end, as_of) in [("2021", "2022", "2020-12"), ("2021", "2022", "2023")] {
        let dates =
            json!({"start": {"edtf": start}, "end": {"edtf": end}, "asOf": {"edtf": as_of}});
        warned(&time(dates), &[("period.as_of", "AS_OF_OUTSIDE_PERIOD")]);
    }
    accepted(&time(
        json!({"start": {"edtf": "2021"}, "asOf": {"edtf": "2020/2021"}}),
    ));
}
