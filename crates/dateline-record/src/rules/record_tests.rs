//! A record as a whole: evidence, repetitions, all violations at once, random bytes, by the rows of the catalogue of
//! bad input.

use dateline_proto::v1::{Bundle, Record};
use proptest::prelude::*;
use prost::Message;
use serde_json::json;

use super::fixture_tests::*;
use crate::{validate::check_body, violation::Findings, walk::Path};

const GOLD: &str = include_str!("../../../../seed/gold.json");

fn gold() -> Vec<Record> {
    Vec::from(read::<Bundle>(serde_json::from_str(GOLD).unwrap()))
}

#[test]
fn the_gold_records_have_no_violation_and_no_warning() {
    for record in gold() {
        let mut body = record.kind.unwrap();
        body.take_meta();
        let sent = body.clone();
        let found = check_body(&mut body, &mut Path::default());
        assert_eq!(found, Findings::default(), "{}", body.name());
        assert_eq!(body, sent, "normalising changes nothing");
    }
}

#[test]
fn every_field_that_names_a_record_says_of_which_kind() {
    // N9 depends on it: fields without `refers_to` are text.
    let texts = ["name", "display_name", "honorific_prefix"];
    let named = |comment: &str| {
        ["articles/", "actors/", "relations/", "events/"]
            .iter()
            .any(|collection| comment.contains(collection))
    };
    for file in [
        include_str!("../../../../proto/dateline/v1/article.proto"),
        include_str!("../../../../proto/dateline/v1/actor.proto"),
        include_str!("../../../../proto/dateline/v1/relation.proto"),
        include_str!("../../../../proto/dateline/v1/event.proto"),
        include_str!("../../../../proto/dateline/v1/common.proto"),
    ] {
        for statement in file.split(';') {
            let field = statement.split(" = ").next().unwrap_or_default();
            let field = field.split_whitespace().last().unwrap_or_default();
            let refers = statement.contains("refers_to");
            let is_value = statement.contains("string ") && !texts.contains(&field);
            let keyed = ["supports", "merged_into", "merged_from"].contains(&field);
            if named(statement) && is_value && !keyed {
                assert!(refers, "{field}");
            }
        }
    }
}

#[test]
fn d8_evidence_supports_what_is_there() {
    let supports = |path: &str| {
        let fields = json!({
            "time": {"start": {"edtf": "2021"}},
            "participants": [
                {"actor": "actors/nato", "role": "ROLE_PARTY"},
                {"displayName": "its partners", "role": "ROLE_ADDRESSEE"},
            ],
            "places": [{
                "displayName": "St. Petersburg", "precision": "PRECISION_CITY",
                "externalIds": [{"scheme": "wikidata", "value": "Q656"}],
            }],
            "topics": [{"id": "aid", "label": "Aid"}],
            "links": [{"event": "events/x", "type": "TYPE_BEFORE"}],
            "codes": ["plover.mode:visit"],
        });
        event(with(fields, evidence(json!({"supports": [path]}))))
    };
    for path in [
        "type",
        "time",
        "time.start.edtf",
        "time.end",
        "participants",
        "participants[actors/nato]",
        "participants[actors/nato].role",
        "participants[its partners].display_name",
        "places[St. Petersburg].external_ids[wikidata/Q656].value",
        "topics[aid]",
        "links[events/x].type",
        "codes[plover.mode:visit]",
    ] {
        accepted(&supports(path));
    }
    for (path, words) in [
        (
            "nope",
            "there is no field \"nope\" in Event; there are type, form",
        ),
        (
            "time.nope",
            "there is no field \"nope\" in Period; there are start",
        ),
        (
            "participants[actors/x]",
            "there are \"actors/nato\", \"its partners\"",
        ),
        (
            "participants.role",
            "participants is a list; pick an element",
        ),
        ("participants[0]", "participants has no element \"0\""),
        ("type[x]", "type is no list"),
        ("type.x", "type has no fields of its own"),
        ("links[events/x].event.x", "event has no fields of its own"),
        ("evidence", "evidence is no fact"),
        ("evidence[x].note", "evidence is no fact"),
        ("meta.uid", "meta is no fact"),
        ("name", "name is no fact"),
        ("a..b", "must be a path of fields"),
        ("[", "must be a path of fields"),
        ("", "must be a path of fields"),
    ] {
        refused(&supports(path), &[("evidence[0].supports[0]", words)]);
    }
    let many = evidence(json!({"supports": vec!["type"; 33]}));
    refused(
        &event(many),
        &[("evidence[0].supports", "at most 32 are allowed")],
    );
}

#[test]
fn d8_names_are_picked_by_their_text_and_empty_lists_have_none() {
    let supports = |path: &str| actor(evidence(json!({"supports": [path]})));
    accepted(&supports("names[Ann]"));
    refused(
        &supports("names[Bob]"),
        &[(
            "evidence[0].supports[0]",
            "no element \"Bob\"; there are \"Ann\"",
        )],
    );
    refused(
        &supports("external_ids[wikidata/Q1]"),
        &[("evidence[0].supports[0]", "the list has no elements")],
    );
}

#[test]
fn d9_a_claim_is_somebodys_and_what_is_implied_says_how() {
    let entry = |modality: &str, attributed: &[&str], note: &str| {
        let fields = json!({"modality": modality, "attributedTo": attributed, "note": note});
        actor(evidence(fields))
    };
    accepted(&entry("MODALITY_CLAIMED", &["actors/a"], ""));
    accepted(&entry("MODALITY_IMPLIED", &[], "the name says so"));
    let field = "evidence[0].attributed_to";
    refused(
        &entry("MODALITY_CLAIMED", &[], ""),
        &[(field, "must name the actors whose word it is")],
    );
    for modality in ["MODALITY_ASSERTED", "MODALITY_CONTRADICTS"] {
        let entry = entry(modality, &["actors/a"], "");
        refused(&entry, &[(field, "is for CLAIMED entries only")]);
    }
    refused(
        &entry("MODALITY_IMPLIED", &[], " "),
        &[("evidence[0].note", "must say how it was read")],
    );
    refused(
        &entry("MODALITY_UNSPECIFIED", &["actors/a"], ""),
        &[("evidence[0].modality", "must be set")],
    );
}

#[test]
fn what_is_said_twice_is_told_and_topics_have_ids_of_their_own() {
    let topics = json!([{"id": "aid", "label": "Aid"}, {"id": "aid", "label": "Help"}]);
    refused(
        &event(json!({"topics": topics})),
        &[("topics[1].id", "is that of topics[0] too")],
    );
    let twice = json!([
        {"actor": "actors/a", "role": "ROLE_HOST"},
        {"actor": "actors/a", "role": "ROLE_SPEAKER"},
        {"actor": "actors/a", "role": "ROLE_HOST"},
    ]);
    warned(
        &event(json!({"participants": twice, "codes": ["a:b", "a:b"]})),
        &[
            ("codes[1]", "DUPLICATE_ENTRY"),
            ("participants[2]", "DUPLICATE_ENTRY"),
        ],
    );
    let name = json!({"text": "Ann", "languageCode": "en", "type": "TYPE_FULL"});
    warned(
        &actor(json!({"names": [name, name]})),
        &[("names[1]", "DUPLICATE_ENTRY")],
    );
}

#[test]
fn what_only_looks_wrong_is_stored_with_a_warning() {
    warned(
        &actor(json!({"displayName": "Anna"})),
        &[("display_name", "DISPLAY_NAME_NOT_IN_NAMES")],
    );
    let office = json!({"roleTitle": "head", "onBehalfOf": "actors/c"});
    warned(
        &relation(office.clone()),
        &[
            ("role_title", "OFFICE_WITHOUT_POSITION"),
            ("on_behalf_of", "OFFICE_WITHOUT_POSITION"),
        ],
    );
    accepted(&relation(with(
        office,
        json!({"type": "TYPE_HOLDS_POSITION"}),
    )));
}

#[test]
fn w6_all_complaints_come_at_once_each_with_its_place() {
    let record = event(json!({
        "displayName": " ",
        "form": "FORM_UNSPECIFIED",
        "time": {"start": {"edtf": "2022"}, "end": {"edtf": "2021"}},
        "places": [{"displayName": "There", "latitude": 91, "longitude": 0}],
        "participants": [{"actor": "actors/A", "role": "ROLE_HOST"}, {}],
    }));
    refused(
        &record,
        &[
            ("display_name", "must not be blank"),
            ("form", "must be set"),
            ("time.end", "lies before the start"),
            ("places[0].precision", "must be set"),
            ("places[0].latitude", "at most 90"),
            ("participants[0].actor", "lower-case"),
            ("participants[1].role", "must be set"),
            ("participants[1].display_name", "must be set"),
        ],
    );
}

/// Random bytes seldom decode; truncated and altered gold records mostly do.
fn bent_record() -> impl Strategy<Value = Vec<u8>> {
    let gold: Vec<Vec<u8>> = gold().iter().map(Message::encode_to_vec).collect();
    let bent = (
        proptest::sample::select(gold),
        proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
    )
        .prop_map(|(mut bytes, bends)| {
            for (at, byte) in bends {
                let place = at.index(bytes.len());
                bytes[place] = byte;
            }
            bytes
        });
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..200),
        4 => bent,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn no_bytes_make_the_rules_panic(bytes in bent_record()) {
        let Ok(Record { kind: Some(mut body) }) = Record::decode(bytes.as_slice()) else {
            return Ok(());
        };
        let found = check_body(&mut body, &mut Path::default());
        prop_assert!(found.violations.len() <= 100 && found.warnings.len() <= 100);
        // A message that was normalised once is in its stored form.
        let stored = body.clone();
        let again = check_body(&mut body, &mut Path::default());
        prop_assert_eq!(&body, &stored);
        prop_assert_eq!(again, found);
    }
}
