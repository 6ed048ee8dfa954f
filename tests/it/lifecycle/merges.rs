//! Domain rule 7: merges of two records. Redirects, chains, the result of an unmerge, and invalid merges.

use dateline_proto::v1::{
    BatchGetRecordsRequest, GetRecordRequest, Kind, ListRecordsRequest, MergeRecordRequest, Record,
    RecordFilter, State, UnmergeRecordRequest, View, change::Type,
};
use tonic::Code;

use crate::support::{
    editing::*,
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};

/// The kinds that can be merged.
fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.into_iter().filter(|kind| *kind != Kind::Article)
}

async fn trio(server: &TestServer, kind: Kind) -> [Record; 3] {
    let drafts = create_drafts(
        &server.client,
        &["first", "second", "third"].map(|id| record_of_kind(kind, id)),
    );
    let public = publish_all(&server.client, &drafts.await).await;
    public.try_into().unwrap()
}

/// The record to which a name leads, and the name from which the answer says it was redirected.
async fn led(server: &TestServer, asked: &str, view: View) -> (String, String) {
    let answer = get_record(&server.client, get_request(asked, view))
        .await
        .unwrap();
    (
        name(&answer.record.unwrap()).to_owned(),
        answer.redirected_from,
    )
}

async fn a_merge_leads_on(server: &TestServer, kind: Kind) {
    let client = &server.client;
    let [first, second, third] = trio(server, kind).await;
    let (one_name, two_name, three_name) = (name(&first), name(&second), name(&third));
    let request = MergeRecordRequest {
        record: Some(version(&first)),
        into: Some(version(&second)),
        note: "one and the same".into(),
        ..MergeRecordRequest::default()
    };
    let answer = client
        .clone()
        .editorial
        .merge_record(request)
        .await
        .unwrap()
        .into_inner();
    let [merged, winner] = answer.records.as_slice() else {
        panic!("{:?}", answer.records)
    };
    assert_eq!((name(merged), state(merged)), (one_name, State::Merged));
    assert_eq!(meta(merged).merged_into, two_name);
    assert_eq!(
        (name(winner), without_server_fields(winner)),
        (two_name, without_server_fields(&second))
    );
    assert_eq!(meta(winner).merged_from, [one_name]);
    let last = merge(winner, &third);
    let answer = commit_ok(client, vec![last]).await;
    let (merged_on, end) = (&answer.records[0], &answer.records[1]);
    assert_eq!(meta(end).merged_from, [two_name, one_name]);
    for view in [View::Desk, View::Published] {
        for asked in [one_name, two_name] {
            assert_eq!(
                led(server, asked, view).await,
                (three_name.to_owned(), asked.to_owned())
            );
        }
        assert_eq!(
            led(server, three_name, view).await,
            (three_name.to_owned(), String::new())
        );
        the_tombstone_answers_for_itself(server, &first, two_name, view).await;
    }
    // A tombstone in the middle of a chain can be unmerged only after the last merge of the chain.
    let answer = commit_err(client, vec![unmerge(merged)]).await;
    answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
    let answer = commit_ok(client, vec![unmerge(merged_on)]).await;
    assert_eq!(names(&answer.records), [two_name, three_name]);
    assert_eq!(
        meta(&answer.records[0]).merged_from,
        [one_name],
        "with what was merged into it"
    );
    assert!(meta(&answer.records[1]).merged_from.is_empty());
    assert_eq!(led(server, one_name, View::Published).await.0, two_name);
    let request = UnmergeRecordRequest {
        record: Some(version(merged)),
        note: "two after all".into(),
        ..UnmergeRecordRequest::default()
    };
    let answer = client
        .clone()
        .editorial
        .unmerge_record(request)
        .await
        .unwrap()
        .into_inner();
    let back = &answer.records[0];
    assert_eq!(
        (without_server_fields(back), state(back)),
        (without_server_fields(&first), State::Published)
    );
    let (then, now) = (meta(&first), meta(back));
    assert_eq!(
        (now.uid, now.publish_time, now.create_time),
        (then.uid, then.publish_time, then.create_time)
    );
    assert_eq!((now.merged_into.as_str(), now.merged_from.len()), ("", 0));
    assert!(meta(&answer.records[1]).merged_from.is_empty());
    assert_eq!(
        led(server, one_name, View::Published).await,
        (one_name.to_owned(), String::new())
    );
}

/// Checks requests without redirect, in a batch, and at a revision.
async fn the_tombstone_answers_for_itself(
    server: &TestServer,
    first: &Record,
    into: &str,
    view: View,
) {
    let (client, one_name) = (&server.client, name(first));
    let tombstone = find_record(client, one_name, view).await.unwrap();
    assert_eq!(meta(&tombstone).merged_into, into);
    let request = BatchGetRecordsRequest {
        names: vec![one_name.to_owned()],
        view: view.into(),
        ..BatchGetRecordsRequest::default()
    };
    let batch = client
        .clone()
        .records
        .batch_get_records(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (names(&batch.records), batch.missing.len()),
        (vec![one_name], 0)
    );
    let request = GetRecordRequest {
        revision: Some(meta(first).revision),
        ..get_request(one_name, view)
    };
    let old = get_record(client, request).await.unwrap();
    assert_eq!(
        (
            without_server_fields(&old.record.unwrap()),
            old.redirected_from
        ),
        (without_server_fields(first), String::new())
    );
}

#[tokio::test]
async fn a_merged_name_leads_on_through_chains_and_an_undone_merge_gives_all_back() {
    let server = start_server_with_base().await;
    for kind in kinds() {
        a_merge_leads_on(&server, kind).await;
    }
}

#[tokio::test]
async fn merges_that_are_none_are_refused() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for kind in kinds() {
        let [first, second, third] = trio(&server, kind).await;
        let answer = commit_err(client, vec![merge(&first, &first)]).await;
        answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
        assert!(
            answer.fields().contains(&"writes[0].merge.into.name"),
            "{answer:?}"
        );
        let source = desk_record(client, SOURCE).await;
        let answer = commit_err(client, vec![merge(&first, &source)]).await;
        answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
        assert_eq!(answer.fields(), ["writes[0].merge.into.name"]);
        let draft = create_drafts(client, &[record_of_kind(kind, "draft")])
            .await
            .swap_remove(0);
        for (loser, winner) in [(&draft, &first), (&first, &draft)] {
            let answer = commit_err(client, vec![merge(loser, winner)]).await;
            answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
            assert_eq!(answer.about["name"], name(&draft));
        }
        let answer = commit_ok(client, vec![merge(&first, &second)]).await;
        let (merged, winner) = (&answer.records[0], &answer.records[1]);
        // Neither merged back, nor merged a second time.
        let answer = commit_err(client, vec![merge(winner, merged)]).await;
        answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
        let answer = commit_err(client, vec![merge(merged, &third)]).await;
        answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
        let answer = commit_err(client, vec![merge(&third, &second)]).await;
        answer.assert_is(Code::Aborted, "ETAG_MISMATCH");
        assert_eq!(answer.about["name"], name(&second));
        for write in [
            correct(&with_text(merged, "x"), &[], "x"),
            retract(merged, "x", false),
            publish(merged),
        ] {
            let answer = commit_err(client, vec![write]).await;
            answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
        }
    }
    let sources = ["left", "right"].map(article);
    let drafts = create_drafts(client, &sources).await;
    let sources = publish_all(client, &drafts).await;
    let answer = commit_err(client, vec![merge(&sources[0], &sources[1])]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(answer.fields(), ["writes[0].merge.record.name"]);
}

#[tokio::test]
async fn who_asks_for_an_actor_gets_what_names_those_that_were_merged_into_it() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let [first, second, third] = trio(&server, Kind::Actor).await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/first".into();
    create_published(client, &pointing).await;
    let answer = commit_ok(client, vec![merge(&first, &second)]).await;
    commit_ok(client, vec![merge(&answer.records[1], &third)]).await;
    let filter = RecordFilter {
        kinds: vec![Kind::Event.into()],
        actors: vec!["actors/third".into()],
        ..RecordFilter::default()
    };
    let request = ListRecordsRequest {
        filter: Some(filter.clone()),
        ..ListRecordsRequest::default()
    };
    let listed = client
        .clone()
        .records
        .list_records(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(names(&listed.records), ["events/pointing"]);
    let watched = dateline_proto::v1::WatchRequest {
        filter: Some(filter),
        ..watch_from_beginning(View::Published)
    };
    assert_eq!(
        read_changes(&server, watched, 1).await[0].name,
        "events/pointing"
    );
}

#[tokio::test]
async fn f7_every_stream_hears_of_a_merge_and_where_it_leads() {
    let server = start_server_with_base().await;
    let [first, second, _] = trio(&server, Kind::Actor).await;
    let answer = commit_ok(&server.client, vec![merge(&first, &second)]).await;
    let filter = RecordFilter {
        states: vec![State::Published.into()],
        actors: vec!["actors/first".into()],
        ..RecordFilter::default()
    };
    let watched = dateline_proto::v1::WatchRequest {
        filter: Some(filter),
        ..watch_from_beginning(View::Published)
    };
    let seen = read_changes(&server, watched, 2).await;
    let (published, merged) = (&seen[0], &seen[1]);
    assert_eq!(published.r#type(), Type::Published);
    assert_eq!(
        (merged.r#type(), merged.merged_into.as_str()),
        (Type::Merged, "actors/second")
    );
    assert_eq!(
        (merged.note.as_str(), merged.sequence),
        ("the same", answer.wire_sequence - 1)
    );
    let tombstone = merged.record.clone().unwrap();
    assert_eq!(
        as_actor(&mut tombstone.clone()).display_name,
        "",
        "a tombstone has no content"
    );
    let all = read_changes(&server, watch_from_beginning(View::Published), 8).await;
    let winner = &all[7];
    assert_eq!(
        (winner.name.as_str(), winner.r#type()),
        ("actors/second", Type::Corrected)
    );
    assert_eq!(winner.changed_fields, ["meta.merged_from"]);
    assert!(winner.last_in_batch && winner.batch == merged.batch);
}
