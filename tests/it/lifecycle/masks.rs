//! Field masks: the fields that an edit changes, and paths that are refused.

use dateline_proto::v1::{FuzzyDate, Name, Period, Place, Record, name, place};
use tonic::Code;

use crate::support::{editing::*, server::TestServer};

fn date(edtf: &str) -> FuzzyDate {
    FuzzyDate {
        edtf: edtf.into(),
        ..FuzzyDate::default()
    }
}

/// An event with something in every sort of field, as a draft.
async fn full(server: &TestServer) -> Record {
    let mut record = event("masked");
    let inner = as_event(&mut record);
    inner.summary = "summary".into();
    inner.purpose = "purpose".into();
    inner.codes = vec!["plover:CONSULT".into()];
    inner.time = Some(Period {
        start: Some(date("2021-01")),
        end: Some(date("2021-03")),
        ..Period::default()
    });
    inner.places = vec![Place {
        display_name: "Florida".into(),
        precision: place::Precision::Subdivision.into(),
        region_code: "US".into(),
        subdivision_code: "US-FL".into(),
        ..Place::default()
    }];
    create_drafts(&server.client, &[record])
        .await
        .swap_remove(0)
}

/// The record that the caller sends: all fields differ.
fn other(read: &Record) -> Record {
    let mut record = read.clone();
    let inner = as_event(&mut record);
    inner.display_name = "Another event".into();
    inner.summary = "other".into();
    inner.purpose.clear();
    inner.codes = vec!["cameo:040".into(), "cameo:041".into()];
    let mut start = date("2021-02");
    (start.earliest, start.latest) = ("2021-02-01".into(), "2021-02-28".into());
    inner.time = Some(Period {
        start: Some(start),
        ..Period::default()
    });
    inner.places.clear();
    record
}

/// Applies a mask; returns the sent record, the old one, and the result.
async fn masked(paths: &[&str]) -> (Record, Record, Record) {
    let server = start_server_with_base().await;
    let read = full(&server).await;
    let sent = other(&read);
    let after = commit_one(&server.client, update(&sent, paths)).await;
    (read, sent, after)
}

#[tokio::test]
async fn a_mask_takes_over_what_it_names_and_nothing_else() {
    let (read, mut sent, mut after) = masked(&["summary"]).await;
    assert_eq!(as_event(&mut after).summary, as_event(&mut sent).summary);
    as_event(&mut after).summary = "summary".into();
    assert_eq!(without_server_fields(&after), without_server_fields(&read));
}

#[tokio::test]
async fn a_nested_path_leaves_what_stands_beside_it() {
    let (read, _, mut after) = masked(&["time.start"]).await;
    let time = as_event(&mut after).time.clone().unwrap();
    assert_eq!(time.start.unwrap().edtf, "2021-02");
    assert_eq!(time.end.unwrap().edtf, "2021-03");
    as_event(&mut after).time = as_event(&mut read.clone()).time.clone();
    assert_eq!(without_server_fields(&after), without_server_fields(&read));
}

#[tokio::test]
async fn a_list_is_replaced_whole_and_an_absent_value_clears_the_field() {
    let (read, _, mut after) = masked(&["codes", "purpose", "places", "time.end"]).await;
    let (before, inner) = (as_event(&mut read.clone()).clone(), as_event(&mut after));
    assert_eq!(inner.codes, ["cameo:040", "cameo:041"]);
    assert_eq!((inner.purpose.as_str(), inner.places.len()), ("", 0));
    let time = inner.time.clone().unwrap();
    assert_eq!((time.start, time.end), (before.time.unwrap().start, None));
    assert_eq!(
        (&inner.summary, &inner.display_name),
        (&before.summary, &before.display_name)
    );
}

#[tokio::test]
async fn an_empty_mask_and_a_star_are_everything_but_name_and_meta() {
    for paths in [&[][..], &["*"]] {
        let (read, sent, after) = masked(paths).await;
        assert_eq!(without_server_fields(&after), without_server_fields(&sent));
        assert_eq!(meta(&after).uid, meta(&read).uid);
        assert_eq!(meta(&after).create_time, meta(&read).create_time);
    }
}

#[tokio::test]
async fn w6_paths_that_are_none_are_refused_all_at_once() {
    let server = start_server_with_base().await;
    let read = full(&server).await;
    let before = feed_heads(&server.url).await;
    let paths = [
        "summary",
        "nonsense",
        "time.nonsense",
        "name",
        "meta",
        "meta.state",
        "time.start.earliest",
        "participants.role",
        "summary.text",
        "*",
        "",
        "Summary",
        "time..start",
        "event.summary",
    ];
    let answer = commit_err(&server.client, vec![update(&other(&read), &paths)]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    let wrong: Vec<_> = (1..paths.len())
        .map(|index| format!("writes[0].update.update_mask.paths[{index}]"))
        .collect();
    assert_eq!(answer.fields(), wrong);
    let said = |index: usize| answer.violations[index - 1].1.as_str();
    assert!(
        said(1).contains("no field \"nonsense\" in Event"),
        "{}",
        said(1)
    );
    assert!(said(4).contains("set by the service"), "{}", said(4));
    assert!(said(6).contains("set by the service"), "{}", said(6));
    assert!(said(7).contains("a list is replaced whole"), "{}", said(7));
    assert_eq!(feed_heads(&server.url).await, before);
}

#[tokio::test]
async fn w6_a_masked_edit_is_checked_as_the_whole_that_it_makes() {
    let server = start_server_with_base().await;
    let read = full(&server).await;
    let mut sent = read.clone();
    as_event(&mut sent).time = Some(Period {
        end: Some(date("2020")),
        ..Period::default()
    });
    let answer = commit_err(&server.client, vec![update(&sent, &["time.end"])]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(
        answer.fields()[0].starts_with("writes[0].update.record.event.time"),
        "{answer:?}"
    );
    // A field outside of the mask may have any value.
    let mut sent = with_text(&read, "fine");
    as_event(&mut sent).display_name.clear();
    let after = commit_one(&server.client, update(&sent, &["summary"])).await;
    assert_eq!(text(&after), "fine");
    assert_eq!(as_event(&mut after.clone()).display_name, "Event masked");
}

#[tokio::test]
async fn output_only_fields_are_ignored_wherever_they_come_from() {
    let server = start_server_with_base().await;
    let mut draft = full(&server).await;
    let start = as_event(&mut draft)
        .time
        .as_mut()
        .unwrap()
        .start
        .as_mut()
        .unwrap();
    assert_eq!(
        (start.earliest.as_str(), start.latest.as_str()),
        ("2021-01-01", "2021-01-31")
    );
    start.earliest = "1066-10-14".into();
    let same = commit_one(&server.client, update(&draft, &[])).await;
    assert_eq!(meta(&same).revision, 1, "it changes nothing");
    let mut record = article("hashed");
    if let Some(dateline_proto::v1::record::Kind::Article(article)) = &mut record.kind {
        article.original_sha256 = "ab".repeat(32);
    }
    let draft = commit_one(&server.client, create(&record)).await;
    let Some(dateline_proto::v1::record::Kind::Article(article)) = &draft.kind else {
        panic!("an article")
    };
    assert_eq!(article.original_sha256, "");
}

#[tokio::test]
async fn w3_differences_between_elements_of_one_name_are_not_lost() {
    let server = start_server_with_base().await;
    let called = |r#type: name::Type| Name {
        text: "1".into(),
        language_code: "en".into(),
        r#type: r#type.into(),
    };
    let mut record = actor("numbered");
    as_actor(&mut record).display_name = "1".into();
    as_actor(&mut record).names = vec![called(name::Type::Short), called(name::Type::Other)];
    let draft = create_drafts(&server.client, &[record])
        .await
        .swap_remove(0);
    let mut edited = draft.clone();
    as_actor(&mut edited).names[0].r#type = name::Type::Acronym.into();
    commit_one(&server.client, update(&edited, &[])).await;
    let answer = commit_err(&server.client, vec![update(&with_text(&draft, "x"), &[])]).await;
    let paths = &answer.assert_is(Code::Aborted, "ETAG_MISMATCH").about["changed_paths"];
    assert_eq!(
        paths, "names[1].type",
        "the first of the two is called 1, the second another"
    );
}
