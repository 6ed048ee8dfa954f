//! Rows with unusual but valid input: it is stored, and returned as the catalogue says.

use dateline::json;
use dateline_proto::v1::{CreateRecordRequest, GetRecordRequest, View, record::Kind as Body};
use serde_json::{Value, json};

use super::{actor, article, event, gold_server, names::make, record, relation};
use crate::support::records::{meta, name};

/// Number, record, a path in it, and the stored value there.
type AcceptedCase = (&'static str, Value, &'static str, Value);

fn texts() -> Vec<AcceptedCase> {
    let headline = |text: &str| article(json!({"headline": text}));
    let body = |text: &str| article(json!({"body": text}));
    let plain = "'; DROP TABLE records; -- 100%_\\ $1 {{7*7}} <script>alert(1)</script>";
    let emoji = "👩\u{200d}🚀 e\u{323}\u{307} مرحبا می\u{200c}خواهم 𠜎 \u{e000}\u{fffe}";
    let span = json!({"part": "PART_HEADLINE", "start": 5, "end": 12, "exact": "👍 talks"});
    vec![
        ("T5", body("Cafe\u{301}"), "/article/body", json!("Café")),
        (
            "T6",
            headline("می\u{200c}خواهم"),
            "/article/headline",
            json!("می\u{200c}خواهم"),
        ),
        (
            "T6",
            body("a\u{202e}b"),
            "/article/body",
            json!("a\u{202e}b"),
        ),
        (
            "T9",
            headline(emoji),
            "/article/headline",
            json!("👩\u{200d}🚀 ẹ\u{307} مرحبا می\u{200c}خواهم 𠜎 \u{e000}\u{fffe}"),
        ),
        (
            "T9",
            article(json!({"mentions": [{"span": span}]})),
            "/article/mentions/0/span/exact",
            json!("👍 talks"),
        ),
        (
            "T11",
            body("\u{feff}a\r\nb\u{2028}c"),
            "/article/body",
            json!("a\nb\nc"),
        ),
        ("T12", headline(plain), "/article/headline", json!(plain)),
        (
            "T13",
            actor(json!({"description": plain})),
            "/actor/description",
            json!(plain),
        ),
        (
            "#41",
            body("a\u{feff}b"),
            "/article/body",
            json!("a\u{feff}b"),
        ),
    ]
}

fn values() -> Vec<AcceptedCase> {
    let participant = json!([{"actor": "actors/nobody", "role": "ROLE_PARTY"}]);
    let body = |text: &str| article(json!({"body": text}));
    let words = "word ".repeat(30_000);
    vec![
        (
            "N7",
            event(json!({"participants": participant})),
            "/event/participants/0/actor",
            json!("actors/nobody"),
        ),
        (
            "N12",
            actor(json!({"meta": {"uid": "mine", "state": "STATE_PUBLISHED", "revision": "7"}})),
            "/actor/meta/state",
            json!("STATE_DRAFT"),
        ),
        (
            "N12",
            article(json!({"originalSha256": "0".repeat(64)})),
            "/article/originalSha256",
            Value::Null,
        ),
        (
            "N12",
            event(json!({"time": {"start": {"edtf": "2021", "earliest": "1000-01-01"}}})),
            "/event/time/start/earliest",
            json!("2021-01-01"),
        ),
        (
            "D2",
            event(json!({"time": {"start": {"edtf": "2021-22"}, "end": {"edtf": "2021-06"}}})),
            "/event/time/end/latest",
            json!("2021-06-30"),
        ),
        (
            "D3",
            relation(json!({"period": {"start": {"edtf": "2021"}, "asOf": {"edtf": "2020"}}})),
            "/relation/period/asOf/edtf",
            json!("2020"),
        ),
        (
            "D4",
            event(json!({"time": {"start": {"edtf": "0001"}, "end": {"edtf": "9999"}}})),
            "/event/time/end/latest",
            json!("9999-12-31"),
        ),
        (
            "D10",
            article(json!({"languageCode": "QQQ-latn"})),
            "/article/languageCode",
            json!("qqq-Latn"),
        ),
        (
            "D11",
            actor(json!({"regionCode": "XK"})),
            "/actor/regionCode",
            json!("XK"),
        ),
        ("#59", body(&words), "/article/languageCode", json!("en")),
        (
            "#60",
            article(json!({"sourceUrl": "http://169.254.169.254/"})),
            "/article/sourceUrl",
            json!("http://169.254.169.254/"),
        ),
    ]
}

#[tokio::test]
async fn unusual_input_is_stored_as_the_catalogue_says() {
    let server = gold_server().await;
    for (index, (id, mut sent, place, expected)) in texts().into_iter().chain(values()).enumerate()
    {
        let fields = sent.as_object_mut().unwrap().values_mut().next().unwrap();
        let (collection, _) = fields["name"].as_str().unwrap().split_once('/').unwrap();
        fields["name"] = json!(format!("{collection}/fine-{index}"));
        let created = make(&server, &sent).await;
        let request = GetRecordRequest {
            name: name(&created).to_owned(),
            view: View::Desk.into(),
            ..GetRecordRequest::default()
        };
        let mut records = server.client.records.clone();
        let read = records.get_record(request).await.unwrap().into_inner();
        assert_eq!(read.record.as_ref(), Some(&created), "{id}");
        assert_ne!(meta(&created).uid, "mine", "{id}");
        let stored = json::value(&created).unwrap();
        let stands = stored.pointer(place).cloned().unwrap_or_default();
        assert_eq!(stands, expected, "{id}: {stored}");
    }
    server.stop().await;
}

#[tokio::test]
async fn n12_what_the_service_set_outlives_an_update() {
    let server = gold_server().await;
    let request = CreateRecordRequest {
        record: Some(record(&article(json!({})))),
        original: b"as received".to_vec(),
        ..CreateRecordRequest::default()
    };
    let mut records = server.client.records.clone();
    let created = records.create_record(request).await.unwrap().into_inner();
    let mut record = created.record.unwrap();
    let mut hash = String::new();
    if let Some(Body::Article(article)) = &mut record.kind {
        hash = std::mem::take(&mut article.original_sha256);
        article.headline = "Other talks".to_owned();
    }
    assert_eq!(hash.len(), 64);
    let request = dateline_proto::v1::UpdateRecordRequest {
        record: Some(record),
        ..Default::default()
    };
    let updated = records.update_record(request).await.unwrap().into_inner();
    let Some(Body::Article(article)) = updated.record.unwrap().kind else {
        panic!("an article stays one")
    };
    assert_eq!(article.headline, "Other talks");
    assert_eq!(article.original_sha256, hash);
    server.stop().await;
}
