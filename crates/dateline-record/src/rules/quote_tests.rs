//! Spans and quotes, by the rows of the catalogue of bad input.

use dateline_proto::v1::TextSpan;
use serde_json::{Value, json};

use super::{fixture_tests::*, quote::check_quote};

fn mention(part: &str, start: i32, end: i32, exact: &str) -> Value {
    let span = json!({"part": part, "start": start, "end": end, "exact": exact});
    article(json!({"mentions": [{"span": span}]}))
}

#[test]
fn d5_a_span_outside_the_text_or_inside_out_is_told_so() {
    let field = "mentions[0].span";
    let long =
        "the body has 18 characters; the quote occurs 2 times in the body, first from 6 to 10";
    for (start, end, words) in [
        (6, 6, "starts at 6 and ends at 6"),
        (10, 6, "starts at 10 and ends at 6"),
        (6, 400, long),
        (6, i32::MAX, long),
    ] {
        refused(&mention("PART_BODY", start, end, "NATO"), &[(field, words)]);
    }
    refused(
        &mention("PART_BODY", -1, 3, "NATO"),
        &[
            ("mentions[0].span.start", "at least 0"),
            (field, "starts at -1 and ends at 3"),
        ],
    );
}

#[test]
fn d6_a_quote_that_is_not_there_is_told_where_it_is() {
    let field = "mentions[0].span";
    accepted(&mention("PART_BODY", 6, 10, "NATO"));
    accepted(&mention("PART_HEADLINE", 5, 12, "👍 talks"));
    for (part, start, end, exact, words) in [
        // Off by one; offsets of UTF-16; offsets of bytes.
        (
            "PART_BODY",
            5,
            10,
            "👍 NATO",
            "has \" NATO\" from 5 to 10, not this quote",
        ),
        (
            "PART_BODY",
            5,
            11,
            "👍 NATO",
            "the quote occurs once, from 4 to 10",
        ),
        (
            "PART_HEADLINE",
            8,
            13,
            "talks",
            "the quote occurs once, from 7 to 12",
        ),
        (
            "PART_HEADLINE",
            10,
            15,
            "talks",
            "the headline has 12 characters; the quote occurs once",
        ),
        (
            "PART_BODY",
            0,
            5,
            "talks",
            "occurs once in the headline, from 7 to 12",
        ),
        (
            "PART_BODY",
            0,
            3,
            "OTAN",
            "the quote does not occur in the article",
        ),
        ("PART_BODY", 16, 18, "N.", "has \".\\n\" from 16 to 18"),
    ] {
        refused(&mention(part, start, end, exact), &[(field, words)]);
    }
}

#[test]
fn d6_what_stands_there_is_shown_escaped_and_short() {
    let span = TextSpan {
        part: 2,
        start: 0,
        end: 200,
        exact: "x".into(),
        ..TextSpan::default()
    };
    let told = check_quote(&span, "", &"\u{1b}[".repeat(100)).unwrap_err();
    assert!(told.contains("\\u{1b}[") && told.contains('…'), "{told}");
    assert!(
        !told.contains('\u{1b}') && told.chars().count() < 200,
        "{told}"
    );
}

#[test]
fn t5_spans_refer_to_the_text_as_it_is_stored() {
    let composed = |start, end| {
        let span = json!({"part": "PART_BODY", "start": start, "end": end, "exact": "NATO"});
        article(json!({"body": "Cafe\u{301}\r\nNATO", "mentions": [{"span": span}]}))
    };
    accepted(&composed(5, 9));
    refused(&composed(7, 11), &[("mentions[0].span", "from 5 to 9")]);
}

#[test]
fn d6_a_quote_of_evidence_is_as_long_as_its_offsets_say() {
    let quote = |start: i32, end: i32, exact: &str| {
        let span = json!({"part": "PART_BODY", "start": start, "end": end, "exact": exact});
        actor(evidence(json!({"quote": span})))
    };
    accepted(&quote(4, 10, "👍 NATO"));
    let field = "evidence[0].quote";
    refused(
        &quote(4, 11, "👍 NATO"),
        &[(field, "covers 7 characters from 4 to 11, but exact has 6")],
    );
    refused(
        &quote(4, 9, "👍 NATO"),
        &[(field, "covers 5 characters from 4 to 9, but exact has 6")],
    );
    refused(&quote(4, 4, "N"), &[(field, "the end must be greater")]);
}
