//! Records: a valid one is in its stored form, can be stored, and is returned unchanged in every format.

use dateline::json;
use dateline_engine::request::kind_field;
use dateline_formats::export::format::{Format, Losses, Options, Referents, redact};
use dateline_proto::v1::{Record, RecordMeta, State, record::Kind as Body};
use dateline_record::{
    diff::diff,
    encoded::EncodedRecord,
    index::{IndexTerms, extract_terms},
    mask,
    record::record_bytes,
    validate::check_body,
    walk::Path,
};
use dateline_server::transport::codec;
use prost::Message;

use super::{assert_answer, assert_well_told};

/// The bytes are a `Record`.
pub fn records(data: &[u8]) {
    match codec::decode::<Record>(data) {
        Ok(record) => record.kind.map(whole).unwrap_or_default(),
        Err(status) => assert_answer(&status),
    }
}

fn whole(mut body: Body) {
    body.take_meta();
    let check = |body: &mut Body| {
        let mut at = Path::default();
        at.enter(kind_field(body));
        check_body(body, &mut at)
    };
    let sent = body.to_content();
    let found = check(&mut body);
    if !found.violations.is_empty() {
        return assert_well_told(&found.violations);
    }
    let content = body.to_content();
    let again = check(&mut body);
    assert_eq!(again.violations, []);
    assert_eq!(
        body.to_content(),
        content,
        "the stored form of {sent:?} is its own"
    );
    drawn(&mut body);
    comes_back(&body, &content);
    is_the_same_as_itself(&body);
    is_exported(&Record::from(body));
}

fn drawn(body: &mut Body) {
    let terms = extract_terms(body, State::Published);
    assert_eq!(extract_terms(body, State::Published), terms);
    assert_eq!(
        extract_terms(body, State::Draft).in_state(State::Published),
        terms
    );
    assert_storable(body, &terms);
}

/// Asserts that the store accepts it: lists as lines of text, text without null characters, valid JSON.
pub fn assert_storable(body: &Body, terms: &IndexTerms) {
    for facet in &terms.facets {
        assert!(!facet.contains(['\n', '\0']), "{facet:?}");
        assert!(facet.len() < 2000, "an index takes it: {facet:?}");
    }
    assert!(terms.facets.is_sorted() && terms.keys.is_sorted());
    let document = serde_json::to_string(&body.to_dynamic()).expect("it has a JSON form");
    assert!(!document.contains("\\u0000"), "{document}");
    let content = body.to_content();
    let decoded = Body::decode(body.kind(), &content).expect("content decodes");
    assert_eq!(decoded.expect("of its kind").to_content(), content);
}

fn comes_back(body: &Body, content: &[u8]) {
    let meta = RecordMeta {
        revision: 3,
        ..RecordMeta::default()
    };
    let encoded = record_bytes(body.kind(), content, &meta.encode_to_vec(), 900);
    let glance = EncodedRecord::from_bytes(encoded).expect("it is a record");
    assert_eq!(glance.content().collect::<Vec<_>>().concat(), content);
    let record = glance.record().expect("it decodes").clone();
    assert_eq!(glance.bytes(), &record.encode_to_vec(), "as prost puts it");
    let json = json::value(&record)
        .expect("it has a JSON form")
        .to_string();
    let read: Record = json::read(&json).expect("and reads back");
    assert_eq!(read, record);
}

fn is_the_same_as_itself(body: &Body) {
    assert_eq!(mask::changed_fields(body, body), Vec::<String>::new());
    assert_eq!(diff(body, body), []);
    let taken = mask::apply(body, body, &["*".to_owned()], "mask").expect("a star is a mask");
    assert_eq!(taken.to_content(), body.to_content());
}

/// Asserts that a valid record can be written in every format, redacted or not.
fn is_exported(record: &Record) {
    let mut redacted = record.clone();
    redact(&mut redacted);
    for record in [record, &redacted] {
        let kind = record.kind.as_ref().map(Body::kind).unwrap_or_default();
        let encoded = EncodedRecord::from_record(record.clone()).expect("it is of a kind");
        let referents = Referents::from_records([&encoded]).expect("it is one");
        referents
            .count_dangling(&encoded, &mut Losses::default())
            .expect("it is one");
        for format in Format::ALL {
            let Some(mut encoder) = format.encoder(kind, &Options::default()) else {
                continue;
            };
            let (mut losses, mut out) = (Losses::default(), Vec::new());
            encoder
                .write(&encoded, &referents, &mut losses, &mut out)
                .expect("it is written");
            encoder.finish(&mut out).expect("and the file ended");
        }
    }
}
