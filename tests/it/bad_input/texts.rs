//! T rows: any text field.

use serde_json::{Value, json};
use tonic::Code;

use super::{
    Row, actor, answer, article, bad_record, create, event, gold_server, invalid, prove, with,
};

#[tokio::test]
async fn t_text_that_cannot_be_kept_is_refused_with_its_place() {
    let server = gold_server().await;
    let mut rows = controls();
    rows.extend(sizes_and_blanks());
    prove(&server, rows).await;
    server.stop().await;
}

fn headline(text: &str) -> Value {
    article(json!({"headline": text}))
}

fn body(text: &str) -> Value {
    article(json!({"body": text}))
}

fn controls() -> Vec<Row> {
    let null = "contains a null character at position 1";
    let topic = |fields: Value| {
        let base = json!({"id": "aid", "label": "Aid"});
        event(json!({"topics": [with(base, fields)]}))
    };
    vec![
        bad_record("T1", &headline("a\0"), "headline", null),
        bad_record("T1", &body("👍\0"), "body", null),
        bad_record(
            "#35",
            &topic(json!({"label": "a\0"})),
            "topics[0].label",
            null,
        ),
        bad_record("#35", &topic(json!({"id": "a\0"})), "topics[0].id", null),
        bad_record(
            "#35",
            &topic(json!({"code": "a\0"})),
            "topics[0].code",
            null,
        ),
        bad_record(
            "#35",
            &actor(json!({"name": "actors/a\0"})),
            "name",
            "null character at position 8",
        ),
        bad_record(
            "#35",
            &actor(json!({"regionCode": "K\0"})),
            "region_code",
            null,
        ),
        bad_record(
            "#35",
            &article(json!({"sourceUrl": "h\0"})),
            "source_url",
            null,
        ),
        bad_record(
            "T2",
            &body("é\u{1b}[2J"),
            "body",
            "control character (U+001B) at position 1",
        ),
        bad_record(
            "T14",
            &headline("\u{1b}]0;x\u{7}"),
            "headline",
            "(U+001B) at position 0",
        ),
        bad_record(
            "#37",
            &body("a\u{8}"),
            "body",
            "control character (U+0008) at position 1",
        ),
        bad_record(
            "T2",
            &headline("a\tb"),
            "headline",
            "control character (U+0009) at position 1",
        ),
        bad_record(
            "T2",
            &headline("👍\n"),
            "headline",
            "line break at position 1; it must be one line",
        ),
        bad_record(
            "T2",
            &actor(json!({"displayName": "A\u{85}"})),
            "display_name",
            "(U+0085)",
        ),
        bad_record(
            "T6",
            &headline("a\u{202e}b"),
            "headline",
            "direction override (U+202E) at position 1",
        ),
        bad_record(
            "#38",
            &actor(json!({"displayName": "\u{2069}"})),
            "display_name",
            "(U+2069)",
        ),
        bad_record(
            "#40",
            &body(&format!("a{}", "\u{301}".repeat(10_000))),
            "body",
            "more than 30 combining marks in a row at position 31",
        ),
    ]
}

fn sizes_and_blanks() -> Vec<Row> {
    let too_long = "is 501 characters long; at most 500 are allowed";
    vec![
        bad_record("T8", &headline(&"👍".repeat(501)), "headline", too_long),
        bad_record(
            "T8",
            &body(&"a".repeat(200_001)),
            "body",
            "at most 200000 are allowed",
        ),
        bad_record(
            "#40",
            &body(&"\n".repeat(1_000_000)),
            "body",
            "is 1000000 characters long",
        ),
        Row {
            id: "T8",
            sent: create(&body(&"a".repeat(10_000_000))),
            answer: answer(
                Code::ResourceExhausted,
                "MESSAGE_TOO_LARGE",
                "send less at once",
            ),
        },
        bad_record("T10", &headline(" \u{a0}"), "headline", "must not be blank"),
        bad_record(
            "#34",
            &headline("\u{200b} "),
            "headline",
            "must not be blank",
        ),
        bad_record("#34", &headline(""), "headline", "must not be empty"),
        Row {
            id: "#34",
            sent: create(&json!({"event": {"name": "events/bad"}})),
            answer: invalid(
                "INVALID_RECORD",
                "record.event.type",
                "must be set to one of the values",
            ),
        },
    ]
}
