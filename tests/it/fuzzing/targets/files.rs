//! Files that users pass to the commands: record files of all formats, texts of editors, plain articles, recorded
//! streams.

use dateline::{fuzz_targets, json};
use dateline_client::Position;
use dateline_engine::request::kind_field;
use dateline_proto::v1::{Record, record::Kind as Body};
use dateline_record::validate::check_body;
use dateline_record::walk::Path;
use prost::Message;

use super::chosen;

/// File names.
const NAMES: [&str; 6] = [
    "a",
    "a.ndjson",
    "a.json",
    "a.binpb",
    "a.ndjson.gz",
    "a.jsonl.zst",
];

/// The first byte selects a name, the rest is the file.
pub fn imports(data: &[u8]) {
    let Some((choice, bytes)) = chosen(data) else {
        return;
    };
    let Ok(records) = fuzz_targets::import_records(NAMES[choice % NAMES.len()], bytes.to_vec())
    else {
        return;
    };
    for record in records {
        match record {
            Ok(record) => sent(&record),
            Err(what) => assert!(!what.is_empty()),
        }
    }
}

/// Asserts that a record is unchanged by sending it to the server.
fn sent(record: &Record) {
    let bytes = record.encode_to_vec();
    let decoded = Record::decode(bytes.as_slice()).expect("it decodes");
    assert_eq!(decoded.encode_to_vec(), bytes);
}

/// Odd first bytes: the plain text of an article. Even ones: a record as an editor writes it.
pub fn documents(data: &[u8]) {
    let Some((choice, bytes)) = chosen(data) else {
        return;
    };
    if choice % 2 == 1 {
        return drafted(bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(record) = fuzz_targets::parse_document(text) else {
        return;
    };
    if is_valid(&record) {
        for as_json in [false, true] {
            let written = fuzz_targets::document_text(&record, as_json).expect("it can be written");
            let read =
                fuzz_targets::parse_document(&written).expect("what was written can be read");
            // Editors do not see the fields that the service sets.
            let again = fuzz_targets::document_text(&read, as_json).expect("and written again");
            assert_eq!(again, written);
        }
    }
}

/// True if a record would be accepted; an invalid one may hold values that have no text form.
fn is_valid(record: &Record) -> bool {
    let Some(mut body) = record.kind.clone() else {
        return false;
    };
    body.take_meta();
    let mut at = Path::default();
    at.enter(kind_field(&body));
    check_body(&mut body, &mut at).violations.is_empty()
}

fn drafted(bytes: &[u8]) {
    let Ok(article) = fuzz_targets::parse_article(bytes) else {
        return;
    };
    assert!(!article.headline.is_empty() && !article.body.is_empty());
    let record = Record::from(Body::Article(article));
    let text = json::value(&record)
        .expect("it has a JSON form")
        .to_string();
    assert_eq!(json::read::<Record>(&text).expect("and reads back"), record);
}

/// The output of `dateline watch`: lines of a stream, and a state file.
pub fn recordings(data: &[u8]) {
    if let Ok((records, at)) = fuzz_targets::fold_recording(data) {
        assert!(
            records <= data.len() && at >= 0 || records == 0,
            "{records} at {at}"
        );
    }
    if let Ok(position) = serde_json::from_slice::<Position>(data) {
        let written = serde_json::to_vec(&position).expect("it is written");
        let read: Position = serde_json::from_slice(&written).expect("and read");
        assert_eq!(read, position);
    }
}
