//! ninjs: the gold article as its editors wrote it, and all items validated against the structure of the standard.

use std::fs;

use dateline_export::format::{Format, Options};
use dateline_proto::v1::Kind;
use serde_json::Value;

use super::{export, export_with, read_by, tombstone, varied};
use crate::support::{gold::gold_records, tools::repo_path};

#[test]
fn the_gold_article_is_the_seeds_item_but_for_events_that_its_text_does_not_name() {
    let text = fs::read_to_string(repo_path("seed/gold_ninjs.json")).unwrap();
    let mut expected: Value = serde_json::from_str(&text).unwrap();
    let mut item = export(Format::Ninjs, &gold_records())
        .lines(Kind::Article)
        .remove(0);
    // The seed lists every event of the bundle, by the name of its record. An exported article has only the events that
    // its own mentions resolve to, under the words of the mention: the events' records are exported later.
    let all = expected["events"].as_array().unwrap().clone();
    let named = item["events"].as_array().unwrap().clone();
    assert_eq!((all.len(), named.len()), (11, 6));
    let without_name = |event: &Value| {
        let mut event = event.clone();
        event.as_object_mut().unwrap().remove("name");
        event
    };
    let ids: Vec<_> = named.iter().map(|event| event["id"].clone()).collect();
    let of_the_seed = all.iter().filter(|event| ids.contains(&event["id"]));
    assert_eq!(
        named.iter().map(without_name).collect::<Vec<_>>(),
        of_the_seed.map(without_name).collect::<Vec<_>>()
    );
    assert_eq!(named[0]["name"], "series of meetings");
    item["events"].take();
    expected["events"].take();
    assert_eq!(item, expected);
}

#[tokio::test]
async fn every_item_is_valid() {
    let files = export(Format::Ninjs, &varied());
    let schema = fs::read(repo_path("tests/data/ninjs_items.schema.json")).unwrap();
    let told = read_by("export_ninjs.py", &files, ("schema.json", &schema)).await;
    assert_eq!(
        told,
        "articles-00000.ninjs.ndjson: 2 items\nevents-00000.ninjs.ndjson: 12 items\n"
    );
}

#[test]
fn an_events_season_is_cut_to_its_year_and_an_undated_event_has_no_date() {
    let files = export(Format::Ninjs, &gold_records());
    let events = files.lines(Kind::Event);
    let find = |id: &str| events.iter().find(|item| item["slugline"] == id).unwrap();
    let dates = &find("kazakhstan-nato-centcom-meetings-summer-2021")["eventDetails"]["dates"];
    assert_eq!(dates["expectedStartDate"], "2021");
    assert_eq!(dates["expectedEndDate"], "2021");
    assert_eq!(find("steppe-eagle").get("eventDetails"), None);
    let organiser = &find("kazakhstan-unifil-deployment")["eventDetails"]["organiser"];
    assert_eq!(organiser["name"], "United Nations Interim Force in Lebanon");
    assert_eq!(
        (
            files.lost("events.time.start.edtf"),
            files.lost("events.time.end.edtf")
        ),
        (2, 1)
    );
    assert_eq!(files.lost("events.time.as_of"), 2);
}

#[tokio::test]
async fn what_is_withdrawn_is_canceled_with_its_reason() {
    let mut record = varied().pop().unwrap();
    record = tombstone(&record);
    let options = Options {
        base_uri: "https://news.example/".to_owned(),
        metadata_only: true,
    };
    let files = export_with(Format::Ninjs, &[record], &options);
    let item = &files.lines(Kind::Event)[0];
    assert_eq!(item["uri"], "https://news.example/events/full-event");
    assert_eq!(item["pubStatus"], "canceled");
    assert_eq!(item["representationType"], "partial");
    assert!(
        item["edNote"].as_str().unwrap().contains("note 1"),
        "{item}"
    );
    let schema = fs::read(repo_path("tests/data/ninjs_items.schema.json")).unwrap();
    read_by("export_ninjs.py", &files, ("schema.json", &schema)).await;
}
