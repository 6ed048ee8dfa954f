//! D rows: dates, spans, evidence, codes, numbers, enums. Each kind of value has one row; all other rules are tested
//! next to their code, in `model::rules`.

use serde_json::{Value, json};

use super::{
    Row, actor, article, bad_record, event, evidence, gold_server, prove, record, relation, with,
};
use dateline_proto::v1::{CreateRecordRequest, record::Kind as Body};

#[tokio::test]
async fn d_dates_and_periods_that_cannot_be_are_refused() {
    let server = gold_server().await;
    prove(&server, dates()).await;
    server.stop().await;
}

#[tokio::test]
async fn d_spans_and_evidence_that_do_not_fit_are_refused() {
    let server = gold_server().await;
    let mut rows = spans();
    rows.extend(supports());
    rows.extend(modalities());
    prove(&server, rows).await;
    server.stop().await;
}

#[tokio::test]
async fn d_codes_and_numbers_that_mean_nothing_are_refused() {
    let server = gold_server().await;
    let mut rows = codes();
    rows.extend(numbers());
    rows.extend(enums());
    prove(&server, rows).await;
    server.stop().await;
}

fn dates() -> Vec<Row> {
    let starts = [
        ("D1", "2021-13", "use 01–12, or 21–41"),
        ("D1", "2021-02-30", "use 01–28"),
        ("D1", "2021-9", "write YYYY"),
        ("D1", "21-09", "write YYYY"),
        ("D1", "2021-42", "use 01–12, or 21–41"),
        ("D1", "2022/2021", "write the earlier date first"),
        ("D1", "1992/", "leave `end` out"),
        ("D1", "[1992..]", "or two with a slash"),
        ("D1", "?2021", "one mark, last"),
        ("D1", "20210915", "write YYYY"),
        ("D1", "2021–09", "write the hyphen-minus"),
        ("D4", "0000", "use 0001–9999"),
        ("D4", "-0044", "use 0001–9999"),
        ("D4", "10000", "write YYYY"),
    ];
    let mut rows: Vec<_> = starts
        .into_iter()
        .map(|(id, edtf, words)| {
            let start = json!({"time": {"start": {"edtf": edtf}}});
            bad_record(id, &event(start), "time.start.edtf", words)
        })
        .collect();
    let time = |fields: Value| event(json!({"time": fields}));
    let reversed = json!({"start": {"edtf": "2021-09"}, "end": {"edtf": "2021-08"}});
    let both = json!({"ongoing": true, "end": {"edtf": "2020"}});
    rows.extend([
        bad_record(
            "D1",
            &time(json!({"start": {}})),
            "time.start",
            "an empty date says nothing",
        ),
        bad_record(
            "D2",
            &time(reversed),
            "time.end",
            "lies before the start for certain",
        ),
        bad_record("D3", &time(both), "time.end", "either ongoing or ended"),
    ]);
    rows
}

fn spans() -> Vec<Row> {
    let field = "mentions[0].span";
    [
        ("D5", 6, 6, "NATO", "starts at 6 and ends at 6"),
        ("D5", 10, 6, "NATO", "starts at 10 and ends at 6"),
        ("D5", 6, 400, "NATO", "but the body has 18 characters"),
        ("D5", 6, i32::MAX, "NATO", "but the body has 18 characters"),
        ("D5", -1, 3, "NATO", "starts at -1 and ends at 3"),
        ("D6", 5, 11, "👍 NATO", "the quote occurs once, from 4 to 10"),
        ("D6", 4, 13, "👍 NATO", "has \"👍 NATO, N\" from 4 to 13, not this quote"),
        ("D6", 0, 4, "OTAN", "does not occur in the article"),
    ]
    .into_iter()
    .map(|(id, start, end, exact, words)| {
        let span = json!({"part": "PART_BODY", "start": start, "end": end, "exact": exact});
        bad_record(id, &article(json!({"mentions": [{"span": span}]})), field, words)
    })
    .chain([
        bad_record(
            "T5",
            &article(json!({
                "body": "Cafe\u{301} NATO",
                "mentions": [{"span": {"part": "PART_BODY", "start": 6, "end": 10, "exact": "NATO"}}],
            })),
            field,
            "the quote occurs once, from 5 to 9",
        ),
        bad_record(
            "D6",
            &actor(evidence(json!({"quote": {
                "part": "PART_HEADLINE", "start": 0, "end": 9, "exact": "Kazakhstan",
            }}))),
            "evidence[0].quote",
            "covers 9 characters from 0 to 9, but exact has 10",
        ),
        bad_record(
            "D7",
            &actor(evidence(json!({"articleRevision": "-1"}))),
            "evidence[0].article_revision",
            "must be at least 0",
        ),
    ])
    .collect()
}

fn supports() -> Vec<Row> {
    [
        ("nope", "there is no field \"nope\" in Actor"),
        ("names[Bob]", "no element \"Bob\"; there are \"Ann\""),
        ("a..b", "must be a path of fields"),
        ("[", "must be a path of fields"),
        ("meta.uid", "meta is no fact"),
    ]
    .into_iter()
    .map(|(path, words)| {
        let record = actor(evidence(json!({"supports": [path]})));
        bad_record("D8", &record, "evidence[0].supports[0]", words)
    })
    .chain([bad_record(
        "D8",
        &actor(evidence(json!({"supports": vec!["type"; 10_000]}))),
        "evidence[0].supports",
        "has 10000 entries; at most 32 are allowed",
    )])
    .collect()
}

fn modalities() -> Vec<Row> {
    let entry = |fields: Value| actor(evidence(fields));
    let claimed = json!({"modality": "MODALITY_CLAIMED"});
    let asserted = json!({"attributedTo": ["actors/nato"]});
    let implied = json!({"modality": "MODALITY_IMPLIED"});
    vec![
        bad_record(
            "D9",
            &entry(claimed),
            "evidence[0].attributed_to",
            "whose word it is",
        ),
        bad_record(
            "D9",
            &entry(asserted),
            "evidence[0].attributed_to",
            "is for CLAIMED entries only",
        ),
        bad_record(
            "D9",
            &entry(implied),
            "evidence[0].note",
            "must say how it was read",
        ),
    ]
}

fn codes() -> Vec<Row> {
    let long_tag = format!("en{}", "-abcdefgh".repeat(22));
    let long_url = format!("https://example.org/{}", "a".repeat(10_000));
    let tag = |tag: &str| article(json!({"languageCode": tag}));
    let region = |code: &str| actor(json!({"regionCode": code}));
    let place = |fields: Value| {
        let base = json!({"displayName": "There", "precision": "PRECISION_SUBDIVISION"});
        event(json!({"places": [with(base, fields)]}))
    };
    let url = |url: &str| article(json!({"sourceUrl": url}));
    let web = "must be an absolute http or https URL";
    vec![
        bad_record(
            "D10",
            &tag("english"),
            "language_code",
            "must be a BCP-47 language tag",
        ),
        bad_record(
            "D10",
            &tag("xx-"),
            "language_code",
            "must be a BCP-47 language tag",
        ),
        bad_record(
            "D10",
            &tag("e"),
            "language_code",
            "must have at least 2 characters",
        ),
        bad_record(
            "D10",
            &tag(&long_tag),
            "language_code",
            "at most 64 are allowed",
        ),
        bad_record("D11", &region("UK"), "region_code", "write GB"),
        bad_record("D11", &region("kz"), "region_code", "write KZ"),
        bad_record("D11", &region("KAZ"), "region_code", "write KZ"),
        bad_record(
            "D11",
            &place(json!({"regionCode": "KZ", "subdivisionCode": "US-FL"})),
            "places[0].region_code",
            "must be US",
        ),
        bad_record("D14", &url("javascript:alert(1)"), "source_url", web),
        bad_record("D14", &url("file:///etc/passwd"), "source_url", web),
        bad_record("D14", &url("example.org/story"), "source_url", web),
        bad_record(
            "D14",
            &url("https://user:secret@example.org"),
            "source_url",
            web,
        ),
        bad_record(
            "D14",
            &url(&long_url),
            "source_url",
            "at most 2048 are allowed",
        ),
        bad_record("#60", &url("data:text/html,x"), "source_url", web),
    ]
}

fn numbers() -> Vec<Row> {
    let latitude = |value: Value| {
        let place = json!({
            "displayName": "There", "precision": "PRECISION_CITY", "latitude": value, "longitude": 0,
        });
        event(json!({"places": [place]}))
    };
    let country = json!({"places": [{
        "displayName": "There", "precision": "PRECISION_COUNTRY", "latitude": 1, "longitude": 1,
    }]});
    let quantity = |fields: Value| {
        let quantity = with(json!({"unit": "soldier", "bound": "BOUND_EXACT"}), fields);
        let participant =
            json!({"actor": "actors/nato", "role": "ROLE_PARTY", "quantity": quantity});
        event(json!({"participants": [participant]}))
    };
    let value = "participants[0].quantity.value";
    let field = "places[0].latitude";
    let unquantified = json!({"bound": "BOUND_UNQUANTIFIED", "value": 1});
    vec![
        bad_record("D12", &latitude(json!(91)), field, "must be at most 90"),
        bad_record(
            "D12",
            &latitude(json!("NaN")),
            field,
            "must be a finite number",
        ),
        bad_record(
            "D12",
            &latitude(json!("Infinity")),
            field,
            "must be a finite number",
        ),
        bad_record(
            "D12",
            &latitude(json!(-0.0)),
            field,
            "is minus zero; write 0",
        ),
        bad_record(
            "#56",
            &latitude(json!(1e308)),
            field,
            "is 1e308; must be at most 90",
        ),
        bad_record("D12", &event(country), field, "is only for a CITY or SITE"),
        bad_record(
            "D13",
            &quantity(json!({"value": "NaN"})),
            value,
            "must be a finite number",
        ),
        bad_record(
            "D13",
            &quantity(json!({"value": -1})),
            value,
            "must be at least 0",
        ),
        bad_record(
            "D13",
            &quantity(json!({"value": 1e308})),
            value,
            "must be at most 1000000000000000",
        ),
        bad_record("D13", &quantity(json!({})), value, "must be set"),
        bad_record("D13", &quantity(unquantified), value, "must be left out"),
    ]
}

fn enums() -> Vec<Row> {
    let mut unknown = bad_record("D15", &relation(json!({})), "type", "has no value 9999");
    let mut request = CreateRecordRequest {
        record: Some(record(&relation(json!({})))),
        ..CreateRecordRequest::default()
    };
    if let Some(Body::Relation(relation)) = request
        .record
        .as_mut()
        .and_then(|record| record.kind.as_mut())
    {
        relation.r#type = 9999;
    }
    unknown.sent = super::BadRequest::Create(request);
    vec![
        unknown,
        bad_record(
            "D15",
            &event(json!({"form": "FORM_UNSPECIFIED"})),
            "form",
            "must be set to one of the values",
        ),
        bad_record(
            "#17",
            &event(json!({"confidence": 12345})),
            "confidence",
            "has no value 12345",
        ),
    ]
}
