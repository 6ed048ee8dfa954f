//! Tests of the reader on the fields of ninjs 1, 2 and 3.

use dateline_proto::v1::{Article, fuzzy_date::Basis, record::Kind as Body};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};

use super::{Content, DroppedFields, name, read};

#[path = "terms_tests.rs"]
mod terms;

const NOW: OffsetDateTime = datetime!(2026-11-30 06:00 UTC);

fn content(item: &Value) -> Result<Content, String> {
    read(item, &mut DroppedFields::default(), NOW)
}

fn article(item: &Value) -> Article {
    let content = content(item).unwrap_or_else(|error| panic!("{error}: {item}"));
    let Some(Body::Article(article)) = content.record.kind else {
        panic!("{item}")
    };
    article
}

/// An item with the given fields set.
fn item(fields: &Value) -> Value {
    let mut item = json!({
        "uri": "urn:x", "headlines": [{"value": "Headline"}],
        "bodies": [{"contentType": "text/plain", "value": "Body."}],
    });
    for (key, value) in fields.as_object().unwrap() {
        item[key] = value.clone();
    }
    item
}

#[test]
fn what_the_table_allows_is_taken_and_the_rest_is_counted() {
    let item = json!({
        "standard": {"name": "ninjs", "version": "3.1"},
        "uri": "https://wire.example.org/items/4711",
        "type": "text", "language": "kk-Cyrl", "version": "2", "by": "Айгерім Омарұлы",
        "headlines": [{"value": "Астана: келісім"}, {"role": "short", "value": "Келісім"}],
        "bodies": [{"contentType": "text/html", "value": "<p>Мәтін</p>"}, {"contentType": "text/plain", "value": "Мәтін"}],
        "descriptions": [{"value": "Қысқаша"}],
        "contentCreated": "2021-09-15T23:30:00+06:00",
        "infoSources": [{"name": "Kazinform", "uri": "https://inform.kz", "role": "publisher"}],
        "subjects": [{"name": "Diplomacy", "uri": "http://cv.iptc.org/newscodes/mediatopic/20000638"}],
        "people": [{"name": "A"}], "usageTerms": "Free",
    });
    let mut losses = DroppedFields::default();
    let record = read(&item, &mut losses, NOW).unwrap().record;
    let Some(Body::Article(article)) = record.kind else {
        panic!()
    };
    assert!(
        article
            .name
            .starts_with("articles/wire-example-org-items-4711-"),
        "{}",
        article.name
    );
    assert_eq!(
        (article.headline.as_str(), article.body.as_str()),
        ("Астана: келісім", "Мәтін")
    );
    assert_eq!(
        (article.summary.as_str(), article.usage_terms.as_str()),
        ("Қысқаша", "Free")
    );
    assert_eq!(article.bylines[0].display_name, "Айгерім Омарұлы");
    assert_eq!(article.published.unwrap().edtf, "2021-09-15");
    assert_eq!(article.sources[0].url, "https://inform.kz");
    assert_eq!(article.topics[0].code, "medtop:20000638");
    let origin = article.source_item.unwrap();
    assert_eq!(
        (origin.uri.as_str(), origin.version.as_str()),
        ("https://wire.example.org/items/4711", "2")
    );
    let told = losses.summary().unwrap();
    for field in [
        "people (1)",
        "bodies as text/html (1)",
        "headlines, but for the first (1)",
        "infoSources.role (1)",
    ] {
        assert!(told.contains(field), "{told}");
    }
}

#[test]
fn what_is_no_article_says_why() {
    let cases = [
        (json!(7), "no object"),
        (json!({"type": "text"}), "no uri"),
        (json!({"uri": "urn:x", "type": "picture"}), "picture"),
        (
            json!({"uri": "urn:x", "type": "composite", "body_text": "x", "headline": "x"}),
            "composite",
        ),
        (
            json!({"uri": "urn:x", "title": "x", "eventDetails": {}}),
            "is an event",
        ),
        (
            json!({"uri": "urn:x", "title": "x", "plannedCoverage": []}),
            "is a planning item",
        ),
        (
            json!({"uri": "urn:x", "headlines": [{"value": "x"}], "renditions": [{}]}),
            "renditions and no body",
        ),
        (item(&json!({"headlines": "x"})), "headlines is no list"),
        (item(&json!({"by": 7})), "by is no string"),
        (item(&json!({"version": []})), "version is neither"),
        (
            item(&json!({"standard": {"name": "ninjs", "version": "4.0"}})),
            "ninjs 4.0",
        ),
        (item(&json!({"bodies": []})), "has no body"),
        (item(&json!({"bodies": [{"value": " "}]})), "has no body"),
        (item(&json!({"headlines": []})), "has no headline"),
        (
            item(
                &json!({"bodies": [{"contentType": "text/html", "value": "<p> <img src=x></p>"}]}),
            ),
            "none can be taken (text/html)",
        ),
        (
            item(&json!({"bodies": [{"contentType": "text/vnd.IPTC.NITF", "value": "<nitf/>"}]})),
            "text/vnd.IPTC.NITF",
        ),
        (
            item(
                &json!({"bodies": [{"role": "caption", "contentType": "text/plain", "value": "On the stairs."}]}),
            ),
            "role caption",
        ),
        (item(&json!({"bodies": [{"value": 7}]})), "is no string"),
    ];
    for (item, told) in cases {
        let error = content(&item).map(drop).unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn each_version_of_ninjs_is_read_by_its_own_keys() {
    let two = json!({
        "uri": "urn:x", "standard": {"name": "ninjs", "version": "2.1"}, "type": "text", "versioncreated": "2026-11-29T16:02:28+02:00",
        "headlines": [{"role": "main", "contenttype": "text/html", "value": "Faktencheck: <em>Stimmt</em> das &amp; warum?"}],
        "bodies": [
            {"role": "html", "contenttype": "text/html", "value": "<p>Eins &#8222;zwei&#8220;.</p>"},
            {"role": "text", "contenttype": "text/plain", "value": "Eins „zwei“."},
        ],
        "infosources": [{"name": "dpa"}], "by": "Von Ann Ode, dpa",
    });
    let one = json!({
        "$standard": {"name": "ninjs", "version": "1.4"}, "uri": "urn:x", "type": "text",
        "headline": "Captain on trial", "byline": "Paulo Santalucia and Frances d'Emilio",
        "body_xhtml": "<p>The trial.</p>", "description_text": "Summary.",
        "subject": [{"name": "Crime", "scheme": "http://cv.iptc.org/newscodes/mediatopic/", "code": "20000082"}],
        "infosource": [{"name": "AP"}], "contentcreated": "2013-07-09", "copyrightholder": "AP",
    });
    let read = article(&two);
    assert_eq!(
        (read.headline.as_str(), read.body.as_str()),
        ("Faktencheck: Stimmt das & warum?", "Eins „zwei“.")
    );
    assert_eq!(read.sources[0].display_name, "dpa");
    let names: Vec<_> = read
        .bylines
        .iter()
        .map(|byline| byline.display_name.as_str())
        .collect();
    assert_eq!(names, ["Ann Ode", "dpa"]);
    let read = article(&one);
    assert_eq!(
        (
            read.headline.as_str(),
            read.body.as_str(),
            read.summary.as_str()
        ),
        ("Captain on trial", "The trial.", "Summary.")
    );
    assert_eq!(
        (read.topics[0].id.as_str(), read.topics[0].code.as_str()),
        ("crime", "medtop:20000082")
    );
    assert_eq!(
        (read.bylines.len(), read.sources[0].display_name.as_str()),
        (2, "AP")
    );
    assert_eq!(read.published.unwrap().edtf, "2013-07-09");
    // The keys decide without a version, and also if the item has none of the declared version's keys.
    for standard in [
        json!(null),
        json!({"name": "ninjs", "version": "3.0"}),
        json!({"name": "other", "version": "9"}),
    ] {
        let mut item = one.clone();
        item["$standard"] = standard;
        assert_eq!(article(&item).body, "The trial.");
    }
    // ninjs 1.6 allows any suffix of a key.
    let item = json!({"uri": "urn:x", "headline_main": "H", "headline_slug": "h-1", "body_main": "Plain.", "body_richtext": "<p>Rich.</p>"});
    assert_eq!(
        (article(&item).headline, article(&item).body),
        ("H".to_owned(), "Plain.".to_owned())
    );
    let item = json!({"uri": "urn:x", "$schema": "http://www.iptc.org/std/ninjs/ninjs-schema_1.3.json", "headline": "H", "body_text": "B", "bodies": [{"value": "not of 1.3"}]});
    assert_eq!(article(&item).body, "B");
}

#[test]
fn role_and_type_decide_and_not_the_position() {
    let read = article(&item(&json!({
        "headlines": [{"role": "slug", "value": "grain-talks"}, {"value": "None"}, {"role": "MAIN", "value": "Ministers\tspeak\nof grain"}],
        "bodies": [
            {"role": "caption", "contentType": "text/plain", "value": "On the stairs."},
            {"role": "sidebar", "contentType": "text/plain", "value": "Beside."},
            {"role": "main", "contentType": "TEXT/HTML; charset=utf-8", "value": "<p>They&nbsp;met.</p><ul><li>a</li></ul><script>x</script>"},
            {"role": "nitf", "contentType": "application/xml", "value": "<nitf/>"},
        ],
        "descriptions": [{"role": "alt", "value": "photo"}, {"role": "summary", "value": "They met.\u{c}"}],
    })));
    assert_eq!(read.headline, "Ministers speak of grain");
    assert_eq!(read.body, "They\u{a0}met.\n\n- a");
    assert_eq!(read.summary, "They met.");
    for (kind, value, body) in [
        ("TEXT/PLAIN", "a <b>", "a <b>"),
        ("text/plain; charset=utf-8", "x", "x"),
        (
            "",
            "Profits <em>rise</em> at AT&amp;T",
            "Profits rise at AT&T",
        ),
        ("", "1 < 2 & 3", "1 < 2 & 3"),
        ("application/xhtml+xml", "<p>a<br/>b</p>", "a\nb"),
        (
            "text/plain",
            "Line one\r\nLine two\u{c}\r\n\r\nNew\u{b}para",
            "Line one\nLine two\n\nNew\npara",
        ),
    ] {
        let item = item(&json!({"bodies": [{"contentType": kind, "value": value}]}));
        assert_eq!(article(&item).body, body, "{kind} {value}");
    }
    let html = item(
        &json!({"headlines": [{"contentType": "text/html", "value": "Only <b>html</b>"}], "title": "Title"}),
    );
    assert_eq!(article(&html).headline, "Only html");
    let titled = item(&json!({"headlines": [{"role": "slug", "value": "x-y"}], "title": "Title"}));
    assert_eq!(article(&titled).headline, "Title");
}

#[test]
fn dates_are_as_fuzzy_as_they_were_written() {
    for (written, edtf) in [
        ("2021-09-15", "2021-09-15"),
        ("2021-09", "2021-09"),
        ("1940", "1940"),
        ("2021-09-15T10:00:00", "2021-09-15"),
        ("2021-09-15T10:00:00+0200", "2021-09-15"),
        ("2021-09-15T10:00Z", "2021-09-15"),
        ("2021-09-15T10:00:00.123Z", "2021-09-15"),
        ("2021-09-15T24:00:00Z", "2021-09-15"),
        ("2016-12-31T23:59:60Z", "2016-12-31"),
        ("2021-09-15 10:00:00+02", "2021-09-15"),
    ] {
        let date = article(&item(&json!({"contentCreated": written})))
            .published
            .unwrap();
        assert_eq!(
            (date.edtf.as_str(), date.basis()),
            (edtf, Basis::Unspecified),
            "{written}"
        );
    }
    for (fields, edtf) in [
        (
            json!({"firstCreated": "2019-08-09T09:30:04Z", "versionCreated": "2019-08-10T09:46:53Z"}),
            Some("2019-08-09"),
        ),
        (
            json!({"version": "1", "versionCreated": "2019-08-10T09:46:53Z"}),
            Some("2019-08-10"),
        ),
        (
            json!({"version": 1, "versioncreated": "2019-08-10T09:46:53Z"}),
            Some("2019-08-10"),
        ),
        (
            json!({"version": "2", "versionCreated": "2019-08-10T09:46:53Z"}),
            None,
        ),
        (json!({"versionCreated": "2019-08-10T09:46:53Z"}), None),
    ] {
        let date = article(&item(&fields)).published;
        assert_eq!(
            date.as_ref().map(|date| date.edtf.as_str()),
            edtf,
            "{fields}"
        );
        assert!(date.is_none_or(|date| date.basis() == Basis::Inferred));
    }
}

#[test]
fn topics_keep_what_has_a_code_and_no_name_and_what_reads_alike() {
    let read = article(&item(&json!({"subjects": [
        {"uri": "http://cv.iptc.org/newscodes/mediatopic/20000638"}, {"literal": "04011000", "name": ""},
        {"name": "Война", "uri": "http://cv.iptc.org/newscodes/mediatopic/20000071"}, {"name": "戦争"}, {"name": "戰爭"},
        {"name": "戦争"}, {},
    ]})));
    let topics: Vec<_> = read
        .topics
        .iter()
        .map(|topic| (topic.id.as_str(), topic.label.as_str(), topic.code.as_str()))
        .collect();
    assert_eq!(
        topics[0],
        ("medtop-20000638", "medtop:20000638", "medtop:20000638")
    );
    assert_eq!(topics[1].1, "04011000");
    assert_eq!((topics[2].1, topics[2].2), ("Война", "medtop:20000071"));
    assert_eq!(topics.len(), 5);
    let ids: std::collections::BTreeSet<_> = topics.iter().map(|topic| topic.0).collect();
    assert_eq!(ids.len(), 5, "{topics:?}");
}

#[test]
fn a_name_follows_the_uri_and_only_an_export_keeps_its_own() {
    let of = |uri: &str| name(uri, false);
    assert_eq!(
        of("urn:newsml:dpa.com:20090101:190510-99-167362"),
        of("urn:newsml:dpa.com:20090101:190510-99-167362")
    );
    assert!(
        of("urn:newsml:dpa.com:20090101:190510-99-167362")
            .starts_with("articles/dpa-com-20090101-190510-99-167362-")
    );
    assert!(
        of("http://www.example.com/news/articles/nato")
            .starts_with("articles/example-com-news-articles-nato-")
    );
    assert_eq!(
        name("https://dateline.example/v1/articles/nato", true),
        "articles/nato"
    );
    assert_ne!(of("urn:a:1"), of("urn:a:2"));
    for uri in [
        "urn:x",
        "urn:x:",
        "7",
        "日本",
        &format!("urn:{}", "long".repeat(500)),
    ] {
        let name = of(uri);
        assert!(
            dateline_record::name::Name::parse(&name).is_some(),
            "{name}"
        );
    }
    let own = json!({
        "uri": "https://dateline.example/v1/articles/nato", "slugline": "nato", "pubStatus": "usable", "firstCreated": "2026-11-29T09:00:00Z",
        "altIds": [{"role": "uid", "value": "0190f1cf-eb93-728c-bfc4-65fa001ae9ed"}], "headlines": [{"value": "H"}], "bodies": [{"value": "B"}],
    });
    let read = article(&own);
    assert_eq!(
        (read.name.as_str(), read.published),
        ("articles/nato", None),
        "the time of ingest is no date of the publisher"
    );
}
