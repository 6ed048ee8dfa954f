//! Helpers of the tests of the rules: small records as proto-JSON, and the expected findings. A test is named after its
//! row in the catalogue of bad input.

use dateline_proto::v1::{Record, record::Kind as Body};
use prost_reflect::{DynamicMessage, ReflectMessage};
use serde_json::{Value, json};

use crate::{
    validate::check_body,
    violation::{Findings, Violation},
    walk::Path,
};

/// Parses a message from JSON.
pub fn read<M: ReflectMessage + Default>(json: Value) -> M {
    let message = DynamicMessage::deserialize(M::default().descriptor(), json).unwrap();
    message.transcode_to().unwrap()
}

/// Validates a record from JSON; returns the stored form and the findings.
pub fn checked(record: &Value) -> (Body, Findings) {
    let mut body = read::<Record>(record.clone()).kind.unwrap();
    body.take_meta();
    let found = check_body(&mut body, &mut Path::default());
    (body, found)
}

/// Expects exactly these violations, and no warning.
pub fn refused(record: &Value, expected: &[(&str, &str)]) {
    let found = checked(record).1;
    let shown = format!("{record}\n{found:#?}");
    assert_eq!(found.violations.len(), expected.len(), "{shown}");
    for (field, words) in expected {
        let told = |it: &&Violation| it.field == *field;
        let violation = found.violations.iter().find(told).expect(&shown);
        assert!(violation.description.contains(words), "{field}: {shown}");
    }
    assert!(found.warnings.is_empty(), "{shown}");
}

/// Expects no violation, and exactly these warnings.
pub fn warned(record: &Value, expected: &[(&str, &str)]) {
    let found = checked(record).1;
    assert!(found.violations.is_empty(), "{record}\n{found:#?}");
    let warnings: Vec<_> = found
        .warnings
        .iter()
        .map(|warning| (warning.field.as_str(), warning.reason))
        .collect();
    assert_eq!(warnings, expected, "{record}");
}

pub fn accepted(record: &Value) {
    warned(record, &[]);
}

/// `base` with fields replaced by those of `other`.
pub fn with(mut base: Value, other: Value) -> Value {
    if let Value::Object(other) = other {
        base.as_object_mut().unwrap().extend(other);
    }
    base
}

pub fn article(fields: Value) -> Value {
    let base = json!({
        "name": "articles/a", "headline": "NATO 👍 talks", "body": "Say 👍 NATO, NATO.\n",
        "languageCode": "en",
    });
    json!({"article": with(base, fields)})
}

pub fn actor(fields: Value) -> Value {
    let base = json!({
        "name": "actors/a", "type": "TYPE_PERSON", "displayName": "Ann",
        "names": [{"text": "Ann", "languageCode": "en", "type": "TYPE_FULL"}],
    });
    json!({"actor": with(base, fields)})
}

pub fn relation(fields: Value) -> Value {
    let base = json!({
        "name": "relations/r", "type": "TYPE_MEMBER_OF", "subject": "actors/a", "object": "actors/b",
    });
    json!({"relation": with(base, fields)})
}

pub fn event(fields: Value) -> Value {
    let base = json!({
        "name": "events/e", "type": "TYPE_MEETING", "form": "FORM_SINGLE",
        "status": "STATUS_OCCURRED", "displayName": "Talks",
    });
    json!({"event": with(base, fields)})
}

pub fn evidence(fields: Value) -> Value {
    let base = json!({
        "article": "articles/a", "articleRevision": "1", "modality": "MODALITY_ASSERTED",
    });
    json!({"evidence": [with(base, fields)]})
}

pub fn place(fields: Value) -> Value {
    let base = json!({"displayName": "There", "precision": "PRECISION_CITY"});
    event(json!({"places": [with(base, fields)]}))
}

pub fn participant(fields: Value) -> Value {
    event(json!({"participants": [with(json!({"role": "ROLE_PARTY"}), fields)]}))
}
