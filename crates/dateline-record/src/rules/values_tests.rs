//! Places, quantities, participants and references, by the rows of the catalogue of bad input.

use serde_json::{Value, json};

use super::fixture_tests::*;

#[test]
fn d12_coordinates_are_a_pair_on_the_globe_and_of_a_point() {
    accepted(&place(json!({"latitude": -90, "longitude": 180})));
    accepted(&place(json!({"latitude": 0.0, "longitude": 0.0})));
    for (latitude, words) in [
        (json!(91), "is 91; must be at most 90"),
        (json!("NaN"), "must be a finite number"),
        (json!("-Infinity"), "must be a finite number"),
        (json!(-0.0), "is minus zero; write 0"),
        (json!(1e308), "is 1e308; must be at most 90"),
    ] {
        let place = place(json!({"latitude": latitude, "longitude": 1}));
        refused(&place, &[("places[0].latitude", words)]);
    }
    refused(
        &place(json!({"latitude": 1})),
        &[("places[0].longitude", "must be set, for latitude is")],
    );
    for precision in ["PRECISION_COUNTRY", "PRECISION_SUBDIVISION"] {
        let fields = json!({"latitude": 1, "longitude": 1, "precision": precision});
        refused(
            &place(fields),
            &[("places[0].latitude", "is only for a CITY or SITE")],
        );
    }
}

#[test]
fn d13_a_quantity_has_a_number_unless_it_is_unquantified() {
    let quantity = |fields: Value| {
        let base = json!({"unit": "peacekeeper", "bound": "BOUND_EXACT"});
        participant(json!({"actor": "actors/a", "quantity": with(base, fields)}))
    };
    accepted(&quantity(json!({"value": 120})));
    accepted(&quantity(json!({"bound": "BOUND_UNQUANTIFIED"})));
    for (fields, words) in [
        (json!({"value": "NaN"}), "finite"),
        (json!({"value": -1}), "at least 0"),
        (json!({"value": -0.0}), "minus zero"),
        (
            json!({"value": 1e308}),
            "is 1e308; must be at most 1000000000000000",
        ),
        (json!({}), "must be set; if the source gives no number"),
        (json!({"bound": "BOUND_ABOUT"}), "must be set"),
        (
            json!({"bound": "BOUND_UNQUANTIFIED", "value": 1}),
            "must be left out",
        ),
    ] {
        refused(
            &quantity(fields),
            &[("participants[0].quantity.value", words)],
        );
    }
}

#[test]
fn n11_nothing_is_tied_or_linked_to_itself() {
    refused(
        &relation(json!({"object": "actors/a"})),
        &[("object", "is the subject too")],
    );
    refused(
        &event(json!({"links": [{"type": "TYPE_PART_OF", "event": "events/e"}]})),
        &[("links[0].event", "is this event itself")],
    );
}

#[test]
fn n9_a_reference_of_another_kind_is_refused() {
    let needed = "a name in actors is needed here";
    refused(
        &participant(json!({"actor": "events/x"})),
        &[("participants[0].actor", needed)],
    );
    refused(
        &relation(json!({"subject": "events/x"})),
        &[("subject", needed)],
    );
    refused(
        &actor(json!({"headquarters": {
            "displayName": "There", "precision": "PRECISION_SITE", "venue": "articles/a",
        }})),
        &[("headquarters.venue", needed)],
    );
    let span = json!({"part": "PART_BODY", "start": 6, "end": 10, "exact": "NATO"});
    refused(
        &article(json!({"mentions": [{"span": span, "target": "relations/r"}]})),
        &[("mentions[0].target", "a name in actors or events is needed")],
    );
}

#[test]
fn a_participant_is_somebody() {
    refused(
        &participant(json!({})),
        &[("participants[0].display_name", "no actor is named")],
    );
    accepted(&participant(json!({"displayName": "its partners"})));
}
