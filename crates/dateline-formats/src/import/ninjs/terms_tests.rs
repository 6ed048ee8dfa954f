//! A table of every field that forbids or restricts the use of an item, and its expected effect.

use dateline_proto::v1::source_item::Status;
use dateline_record::{release::Allowed, timestamp::timestamp};
use serde_json::{Value, json};

use super::{article, content, item};

/// Covers every field that forbids or restricts, in each spelling.
#[test]
fn what_forbids_or_restricts_is_obeyed_carried_along_or_refused() {
    let until = |text: &str| {
        let at = crate::import::ninjs::dates::read("x", text).unwrap().latest;
        Allowed::From(timestamp(at))
    };
    let allowed = |fields: Value| content(&item(&fields)).unwrap().release.allowed;
    for key in [
        "embargoed",
        "embargoedUntil",
        "embargoeduntil",
        "EmbargoedUntil",
        "embargoedDateTime",
        "embargoeddatetime",
        "embargo",
    ] {
        assert_eq!(
            allowed(json!({key: "2031-01-01T06:00:00Z"})),
            until("2031-01-01T06:00:00Z"),
            "{key}"
        );
        assert_eq!(allowed(json!({key: "2020-01-01T06:00:00Z"})), Allowed::Now);
        assert_eq!(
            allowed(json!({key: "2020-01-01"})),
            Allowed::Now,
            "over everywhere"
        );
        let item = article(&item(&json!({key: "2031-01-01T06:00:00+0100"})));
        assert_eq!(
            item.source_item.unwrap().embargo_time.unwrap().seconds,
            1_925_010_000,
            "{key}"
        );
    }
    for key in ["pubStatus", "pubstatus", "PUBSTATUS"] {
        assert_eq!(allowed(json!({key: "usable"})), Allowed::Now);
        assert_eq!(allowed(json!({key: "stat:usable"})), Allowed::Now);
        for word in [
            "withheld",
            "Withheld",
            "http://cv.iptc.org/newscodes/pubstatusg2/withheld",
        ] {
            assert!(matches!(
                allowed(json!({key: word})),
                Allowed::Held {
                    reason: "WITHHELD",
                    ..
                }
            ));
            let item = article(&item(&json!({key: word})));
            assert_eq!(item.source_item.unwrap().status(), Status::Withheld);
        }
        for word in ["canceled", "cancelled", "stat:canceled"] {
            assert_eq!(allowed(json!({key: word})), Allowed::Canceled, "{word}");
        }
    }
    for (fields, reason) in [
        (json!({"representationType": "partial"}), "PARTIAL"),
        (json!({"representationtype": "incomplete"}), "PARTIAL"),
        (json!({"edNote": "EMBARGOED until 6 pm"}), "NOTE_OF_SENDER"),
        (
            json!({"ednote": "Not for publication before Monday."}),
            "NOTE_OF_SENDER",
        ),
        (json!({"ednote": "Sperrfrist: 18 Uhr"}), "NOTE_OF_SENDER"),
    ] {
        assert!(
            matches!(allowed(fields.clone()), Allowed::Held { reason: found, .. } if found == reason),
            "{fields}"
        );
    }
    assert_eq!(allowed(json!({"edNote": "Noe utvidet."})), Allowed::Now);
}

#[test]
fn a_status_or_date_that_cannot_be_read_is_a_reject_and_so_is_what_has_expired() {
    for (fields, told) in [
        (
            json!({"pubStatus": "embargoed"}),
            "pubStatus is \"embargoed\"",
        ),
        (json!({"pubStatus": ""}), "pubStatus"),
        (json!({"pubStatus": 1}), "pubStatus is 1"),
        (
            json!({"pubStatus": "usable", "pubstatus": "canceled"}),
            "both",
        ),
        (
            json!({"embargoedUntil": "tomorrow"}),
            "embargoedUntil is no date",
        ),
        (json!({"embargoed": true}), "embargoed is no date"),
        (
            json!({"embargoed": {"until": "2031"}}),
            "embargoed is no date",
        ),
        (json!({"embargoed": "2031-01-01"}), "no certain time"),
        (
            json!({"embargoed": "2031-01-01T06:00:00"}),
            "no certain time",
        ),
        (
            json!({"embargoed": "2020-01-01T06:00:00Z", "embargoedUntil": "2031-01-01T06:00:00Z"}),
            "different times",
        ),
        (json!({"embargoRelease": "x"}), "embargoRelease"),
        (json!({"restrictions": ["no web"]}), "restrictions"),
        (json!({"expires": "2020-01-01T00:00:00Z"}), "has expired"),
        (json!({"expires": "soon"}), "expires is no date"),
        (json!({"expires": "2026-11-30"}), "no certain time"),
        (
            json!({"versionCreated": "yesterday"}),
            "versionCreated is no date",
        ),
        (
            json!({"contentCreated": "2021-13-45"}),
            "contentCreated is no date",
        ),
        (json!({"usageTerms": "x".repeat(2001)}), "2001 characters"),
    ] {
        let error = content(&item(&fields)).map(drop).unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn rights_are_carried_along_as_usage_terms() {
    for (fields, terms) in [
        (json!({"usageterms": "Nur intern."}), "Nur intern."),
        (
            json!({"usageTerms": "A", "copyrightHolder": "dpa", "copyrightNotice": "2026, dpa", "expires": "2031-01-01T00:00:00+02:00"}),
            "A\nCopyright holder: dpa\nCopyright notice: 2026, dpa\nExpires: 2030-12-31T22:00:00Z",
        ),
        (
            json!({"rightsInfo": {"langId": "http://w3.org/ns/odrl/2/", "linkedRights": "https://x.org/rights"}}),
            "Rights: https://x.org/rights (http://w3.org/ns/odrl/2/)",
        ),
        (json!({"rightsinfo": {"encodedrights": "{}"}}), "Rights: {}"),
        (
            json!({"rightsInfo": {"regions": ["NO"]}}),
            "Rights: {\"regions\":[\"NO\"]}",
        ),
    ] {
        assert_eq!(article(&item(&fields)).usage_terms, terms);
    }
}
