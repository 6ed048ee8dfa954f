//! Requests that share a group commit without affecting each other: failing neighbours, records on which one decision
//! depends and that another request changes, and records that are only read.

use dateline_proto::v1::{
    CommitRequest, EventLink, Record, RecordVersion, View, event_link, write::Action,
};
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use tonic::Code;

use crate::support::{
    editing::*,
    invariants::{ReceivedChanges, assert_dense, assert_whole_batches},
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};

/// Pairs that are sent at once, so that they share a group commit.
const PAIRS: usize = 40;

fn part_of(event: &Record, whole: &str) -> Record {
    let mut event = event.clone();
    as_event(&mut event).links.push(EventLink {
        r#type: event_link::Type::PartOf.into(),
        event: whole.to_owned(),
    });
    event
}

/// Makes the database fail on every write of the record of this name.
async fn poison(server: &TestServer, name: &str) {
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    let trigger = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'poison'; END $$;
         CREATE TRIGGER poison BEFORE INSERT ON changes FOR EACH ROW
         WHEN (NEW.name = '{name}') EXECUTE FUNCTION refuse();"
    );
    sql.execute(sqlx::AssertSqlSafe(trigger)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_w2_a_request_that_the_database_refuses_costs_its_neighbours_nothing() {
    let server = start_server_with_base().await;
    poison(&server, "actors/poisoned").await;
    for round in 0..2 {
        let good: Vec<_> = (0..PAIRS)
            .map(|n| actor(&format!("good-{round}-{n}")))
            .collect();
        let bad = actor("poisoned");
        let (good, bad) = tokio::join!(
            join_all(
                good.iter()
                    .map(|record| commit_one(&server.client, create(record)))
            ),
            join_all((0..3).map(|_| commit_err(&server.client, vec![create(&bad)]))),
        );
        for refused in bad {
            refused.assert_is(Code::Internal, "INTERNAL");
            assert!(!refused.message.contains("poison"), "{}", refused.message);
        }
        for told in good {
            assert_eq!(desk_record(&server.client, name(&told)).await, told);
        }
    }
    assert_eq!(
        find_record(&server.client, "actors/poisoned", View::Desk).await,
        None
    );
    let (desk, _) = feed_heads(&server.url).await;
    assert_eq!(
        desk,
        6 + 2 * i64::try_from(PAIRS).unwrap(),
        "a failed request takes no number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_both_sources_of_a_record_cannot_be_withdrawn_at_the_same_moment() {
    let server = start_server_with_base().await;
    let sources: Vec<_> = (0..2 * PAIRS)
        .map(|n| article(&format!("source-{n}")))
        .collect();
    let drafts = create_drafts(&server.client, &sources).await;
    let sources = publish_all(&server.client, &drafts).await;
    let actors: Vec<_> = (0..PAIRS)
        .map(|n| {
            let entries =
                [2 * n, 2 * n + 1].map(|n| evidence_quoting(&format!("articles/source-{n}")));
            with_evidence(&actor(&format!("fact-{n}")), entries.to_vec())
        })
        .collect();
    let drafts = create_drafts(&server.client, &actors).await;
    publish_all(&server.client, &drafts).await;
    let all = sources.iter().map(|source| {
        try_commit(
            &server.client,
            commit_request(vec![retract(source, "no", false)]),
        )
    });
    let answers = join_all(all).await;
    for (pair, answers) in answers.chunks(2).enumerate() {
        let refusals: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
        let [only] = refusals.as_slice() else {
            panic!(
                "actors/fact-{pair} lost {} of its sources",
                2 - refusals.len()
            );
        };
        only.assert_is(Code::FailedPrecondition, "ONLY_EVIDENCE");
        assert_eq!(only.fields(), [format!("actors/fact-{pair}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_two_events_do_not_become_part_of_each_other_at_the_same_moment() {
    let server = start_server_with_base().await;
    let events: Vec<_> = (0..2 * PAIRS).map(|n| event(&format!("e-{n}"))).collect();
    let drafts = create_drafts(&server.client, &events).await;
    let events = publish_all(&server.client, &drafts).await;
    let all = events.iter().enumerate().map(|(n, event)| {
        let linked = part_of(event, name(&events[n ^ 1]));
        try_commit(
            &server.client,
            commit_request(vec![correct(&linked, &["links"], "it is")]),
        )
    });
    let answers = join_all(all).await;
    for (pair, answers) in answers.chunks(2).enumerate() {
        let refusals: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
        let [only] = refusals.as_slice() else {
            panic!("pair {pair}: {} of two were refused", refusals.len());
        };
        only.assert_is(Code::FailedPrecondition, "PART_OF_ITSELF");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_what_a_request_only_looks_at_stands_when_it_is_written() {
    let servers = start_two_servers_with_base().await;
    let watched = create_drafts(&servers[0].client, &[actor("watched")])
        .await
        .swap_remove(0);
    for (server, other) in [(0, 0), (0, 1)] {
        for round in 0..20 {
            let id = format!("guarded-{server}-{other}-{round}");
            let now = desk_record(&servers[0].client, "actors/watched").await;
            let guarded = CommitRequest {
                preconditions: vec![version_with_etag("actors/watched", &meta(&now).etag)],
                ..commit_request(vec![create(&actor(&id))])
            };
            let edit = update(&with_text(&now, &id), &[]);
            let (guarded, edited) = tokio::join!(
                try_commit(&servers[server].client, guarded),
                commit_one(&servers[other].client, edit),
            );
            match guarded {
                Ok(answer) => assert!(
                    answer.sequence < meta(&edited).sequence,
                    "{id} was written after what it rests on had changed"
                ),
                Err(refused) => {
                    refused.assert_is(Code::Aborted, "ETAG_MISMATCH");
                    assert_eq!(refused.about["etag"], meta(&edited).etag);
                    assert_eq!(refused.about["changed_paths"], "description");
                }
            }
        }
    }
    assert_eq!(meta(&watched).revision, 1);
}

#[tokio::test]
async fn w3_preconditions_ask_for_a_version_or_for_absence() {
    let server = start_server_with_base().await;
    let kept = create_drafts(&server.client, &[actor("kept")])
        .await
        .swap_remove(0);
    let gone = create_drafts(&server.client, &[actor("gone")])
        .await
        .swap_remove(0);
    commit_ok(&server.client, vec![delete(&gone)]).await;
    let before = feed_heads(&server.url).await;
    let with = |preconditions: Vec<RecordVersion>| CommitRequest {
        preconditions,
        ..commit_request(vec![create(&actor("new"))])
    };
    let stale = version_with_etag("actors/kept", "1-0123456789ab");
    let refused = try_commit(&server.client, with(vec![stale.clone()]))
        .await
        .unwrap_err();
    refused.assert_is(Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(refused.about["name"], "actors/kept");
    assert_eq!(refused.about["etag"], meta(&kept).etag);
    let absent = version_with_etag("actors/kept", "");
    let refused = try_commit(&server.client, with(vec![absent]))
        .await
        .unwrap_err();
    refused.assert_is(Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(refused.about["etag"], meta(&kept).etag);
    let missing = version_with_etag("actors/nobody", &meta(&kept).etag);
    let refused = try_commit(&server.client, with(vec![missing]))
        .await
        .unwrap_err();
    refused.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    assert_eq!(refused.about["name"], "actors/nobody");
    assert_eq!(feed_heads(&server.url).await, before);
    // A deleted draft does not exist, although its name is taken.
    let right = vec![
        version_with_etag("actors/kept", &meta(&kept).etag),
        version_with_etag("actors/gone", ""),
        version_with_etag("actors/nobody", ""),
    ];
    let answer = try_commit(&server.client, with(right)).await.unwrap();
    assert_eq!(names(&answer.records), ["actors/new"]);
    let malformed = with(vec![version_with_etag("nonsense", "")]);
    let refused = try_commit(&server.client, malformed).await.unwrap_err();
    refused.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(refused.fields(), ["preconditions[0].name"]);
}

#[tokio::test]
async fn f1_f3_a_batch_that_grew_past_a_page_still_reaches_every_stream_whole() {
    let server = start_server_with_base().await;
    let count = 600;
    let actors: Vec<_> = (0..2 * count)
        .map(|n| actor(&format!("twin-{n}")))
        .collect();
    let mut published = Vec::new();
    for half in actors.chunks(count) {
        let drafts = create_drafts(&server.client, half).await;
        published.extend(publish_all(&server.client, &drafts).await);
    }
    let (losers, winners) = published.split_at(count);
    let writes = losers
        .iter()
        .zip(winners)
        .map(|(loser, winner)| merge(loser, winner));
    let answer = commit_ok(&server.client, writes.collect()).await;
    assert_eq!(answer.records.len(), 2 * count);
    commit_ok(&server.client, vec![create(&actor("after"))]).await;
    for (view, head) in [
        (View::Desk, answer.sequence + 1),
        (View::Published, answer.wire_sequence),
    ] {
        let all = usize::try_from(head).unwrap();
        let watched = ReceivedChanges {
            changes: read_changes(&server, watch_from_beginning(view), all).await,
        };
        assert_dense(&watched, head);
        assert_whole_batches(&watched);
    }
}

#[tokio::test]
async fn w5_a_record_changes_once_in_a_request_whoever_asks_for_it() {
    let server = start_server_with_base().await;
    let source = create_published(&server.client, &article("other")).await;
    let cited = with_evidence(&actor("cited"), vec![evidence_quoting("articles/other")]);
    let cited = create_published(&server.client, &cited).await;
    let twin = create_published(&server.client, &actor("twin")).await;
    let before = feed_heads(&server.url).await;
    // The cascade would withdraw a record that the merge changes.
    let writes = vec![retract(&source, "no", true), merge(&twin, &cited)];
    let answer = commit_err(&server.client, writes).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(
        answer.message.contains("actors/cited would change twice"),
        "{answer:?}"
    );
    let twice = vec![submit(&cited), send_back(&cited, "")];
    let answer = commit_err(&server.client, twice).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(answer.fields(), ["writes[1]"]);
    let into = vec![
        merge(&twin, &cited),
        correct(&with_text(&cited, "x"), &[], "x"),
    ];
    let answer = commit_err(&server.client, into).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    let merged = commit_one(&server.client, merge(&twin, &cited)).await;
    let winner = desk_record(&server.client, "actors/cited").await;
    let unmerging = vec![
        unmerge(&merged),
        correct(&with_text(&winner, "x"), &[], "x"),
    ];
    let answer = commit_err(&server.client, unmerging).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    let after = feed_heads(&server.url).await;
    assert_eq!(
        (after.0, after.1),
        (before.0 + 2, before.1 + 2),
        "the merge only"
    );
    assert!(matches!(unmerge(&merged).action, Some(Action::Unmerge(_))));
}
