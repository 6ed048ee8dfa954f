//! Requests that share a group commit without affecting each other: failing neighbours, records on which one decision
//! depends and that another request changes, and records that are only read.

use dateline_proto::v1::{
    CommitRequest, EventLink, Record, RecordVersion, View, event_link, write::Action,
};
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};
use tonic::Code;

use super::hands::*;
use crate::{
    gold::{changes, from_beginning},
    history::{Watched, assert_dense, assert_whole_batches},
    rig::{Site, meta, name},
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
async fn poison(site: &Site, name: &str) {
    let mut sql = PgConnection::connect(&site.url).await.unwrap();
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
    let site = base().await;
    poison(&site, "actors/poisoned").await;
    for round in 0..2 {
        let good: Vec<_> = (0..PAIRS)
            .map(|n| actor(&format!("good-{round}-{n}")))
            .collect();
        let bad = actor("poisoned");
        let (good, bad) = tokio::join!(
            join_all(good.iter().map(|record| one(&site.client, create(record)))),
            join_all((0..3).map(|_| refused(&site.client, vec![create(&bad)]))),
        );
        for refused in bad {
            refused.is(Code::Internal, "INTERNAL");
            assert!(!refused.message.contains("poison"), "{}", refused.message);
        }
        for told in good {
            assert_eq!(on_desk(&site.client, name(&told)).await, told);
        }
    }
    assert_eq!(
        look(&site.client, "actors/poisoned", View::Desk).await,
        None
    );
    let (desk, _) = heads(&site.url).await;
    assert_eq!(
        desk,
        6 + 2 * i64::try_from(PAIRS).unwrap(),
        "a failed request takes no number"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_both_sources_of_a_record_cannot_be_withdrawn_at_the_same_moment() {
    let site = base().await;
    let sources: Vec<_> = (0..2 * PAIRS)
        .map(|n| article(&format!("source-{n}")))
        .collect();
    let drafts = make(&site.client, &sources).await;
    let sources = show(&site.client, &drafts).await;
    let actors: Vec<_> = (0..PAIRS)
        .map(|n| {
            let entries = [2 * n, 2 * n + 1].map(|n| quoting(&format!("articles/source-{n}")));
            citing(&actor(&format!("fact-{n}")), entries.to_vec())
        })
        .collect();
    let drafts = make(&site.client, &actors).await;
    show(&site.client, &drafts).await;
    let all = sources
        .iter()
        .map(|source| send(&site.client, commit_of(vec![retract(source, "no", false)])));
    let answers = join_all(all).await;
    for (pair, answers) in answers.chunks(2).enumerate() {
        let refusals: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
        let [only] = refusals.as_slice() else {
            panic!(
                "actors/fact-{pair} lost {} of its sources",
                2 - refusals.len()
            );
        };
        only.is(Code::FailedPrecondition, "ONLY_EVIDENCE");
        assert_eq!(only.fields(), [format!("actors/fact-{pair}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_two_events_do_not_become_part_of_each_other_at_the_same_moment() {
    let site = base().await;
    let events: Vec<_> = (0..2 * PAIRS).map(|n| event(&format!("e-{n}"))).collect();
    let drafts = make(&site.client, &events).await;
    let events = show(&site.client, &drafts).await;
    let all = events.iter().enumerate().map(|(n, event)| {
        let linked = part_of(event, name(&events[n ^ 1]));
        send(
            &site.client,
            commit_of(vec![correct(&linked, &["links"], "it is")]),
        )
    });
    let answers = join_all(all).await;
    for (pair, answers) in answers.chunks(2).enumerate() {
        let refusals: Vec<_> = answers.iter().filter_map(|it| it.as_ref().err()).collect();
        let [only] = refusals.as_slice() else {
            panic!("pair {pair}: {} of two were refused", refusals.len());
        };
        only.is(Code::FailedPrecondition, "PART_OF_ITSELF");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_what_a_request_only_looks_at_stands_when_it_is_written() {
    let sites = two_bases().await;
    let watched = make(&sites[0].client, &[actor("watched")])
        .await
        .swap_remove(0);
    for (site, other) in [(0, 0), (0, 1)] {
        for round in 0..20 {
            let id = format!("guarded-{site}-{other}-{round}");
            let now = on_desk(&sites[0].client, "actors/watched").await;
            let guarded = CommitRequest {
                preconditions: vec![named("actors/watched", &meta(&now).etag)],
                ..commit_of(vec![create(&actor(&id))])
            };
            let edit = update(&saying(&now, &id), &[]);
            let (guarded, edited) = tokio::join!(
                send(&sites[site].client, guarded),
                one(&sites[other].client, edit),
            );
            match guarded {
                Ok(answer) => assert!(
                    answer.sequence < meta(&edited).sequence,
                    "{id} was written after what it rests on had changed"
                ),
                Err(refused) => {
                    refused.is(Code::Aborted, "ETAG_MISMATCH");
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
    let site = base().await;
    let kept = make(&site.client, &[actor("kept")]).await.swap_remove(0);
    let gone = make(&site.client, &[actor("gone")]).await.swap_remove(0);
    done(&site.client, vec![delete(&gone)]).await;
    let before = heads(&site.url).await;
    let with = |preconditions: Vec<RecordVersion>| CommitRequest {
        preconditions,
        ..commit_of(vec![create(&actor("new"))])
    };
    let stale = named("actors/kept", "1-0123456789ab");
    let refused = send(&site.client, with(vec![stale.clone()]))
        .await
        .unwrap_err();
    refused.is(Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(refused.about["name"], "actors/kept");
    assert_eq!(refused.about["etag"], meta(&kept).etag);
    let absent = named("actors/kept", "");
    let refused = send(&site.client, with(vec![absent])).await.unwrap_err();
    refused.is(Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(refused.about["etag"], meta(&kept).etag);
    let missing = named("actors/nobody", &meta(&kept).etag);
    let refused = send(&site.client, with(vec![missing])).await.unwrap_err();
    refused.is(Code::NotFound, "RECORD_NOT_FOUND");
    assert_eq!(refused.about["name"], "actors/nobody");
    assert_eq!(heads(&site.url).await, before);
    // A deleted draft does not exist, although its name is taken.
    let right = vec![
        named("actors/kept", &meta(&kept).etag),
        named("actors/gone", ""),
        named("actors/nobody", ""),
    ];
    let answer = send(&site.client, with(right)).await.unwrap();
    assert_eq!(names(&answer.records), ["actors/new"]);
    let malformed = with(vec![named("nonsense", "")]);
    let refused = send(&site.client, malformed).await.unwrap_err();
    refused.is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(refused.fields(), ["preconditions[0].name"]);
}

#[tokio::test]
async fn f1_f3_a_batch_that_grew_past_a_page_still_reaches_every_stream_whole() {
    let site = base().await;
    let count = 600;
    let actors: Vec<_> = (0..2 * count)
        .map(|n| actor(&format!("twin-{n}")))
        .collect();
    let mut published = Vec::new();
    for half in actors.chunks(count) {
        let drafts = make(&site.client, half).await;
        published.extend(show(&site.client, &drafts).await);
    }
    let (losers, winners) = published.split_at(count);
    let writes = losers
        .iter()
        .zip(winners)
        .map(|(loser, winner)| merge(loser, winner));
    let answer = done(&site.client, writes.collect()).await;
    assert_eq!(answer.records.len(), 2 * count);
    done(&site.client, vec![create(&actor("after"))]).await;
    for (view, head) in [
        (View::Desk, answer.sequence + 1),
        (View::Published, answer.wire_sequence),
    ] {
        let all = usize::try_from(head).unwrap();
        let watched = Watched {
            changes: changes(&site, from_beginning(view), all).await,
        };
        assert_dense(&watched, head);
        assert_whole_batches(&watched);
    }
}

#[tokio::test]
async fn w5_a_record_changes_once_in_a_request_whoever_asks_for_it() {
    let site = base().await;
    let source = shown(&site.client, &article("other")).await;
    let cited = citing(&actor("cited"), vec![quoting("articles/other")]);
    let cited = shown(&site.client, &cited).await;
    let twin = shown(&site.client, &actor("twin")).await;
    let before = heads(&site.url).await;
    // The cascade would withdraw a record that the merge changes.
    let writes = vec![retract(&source, "no", true), merge(&twin, &cited)];
    let answer = refused(&site.client, writes).await;
    answer.is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(
        answer.message.contains("actors/cited would change twice"),
        "{answer:?}"
    );
    let twice = vec![submit(&cited), send_back(&cited, "")];
    let answer = refused(&site.client, twice).await;
    answer.is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(answer.fields(), ["writes[1]"]);
    let into = vec![
        merge(&twin, &cited),
        correct(&saying(&cited, "x"), &[], "x"),
    ];
    let answer = refused(&site.client, into).await;
    answer.is(Code::InvalidArgument, "INVALID_RECORD");
    let merged = one(&site.client, merge(&twin, &cited)).await;
    let winner = on_desk(&site.client, "actors/cited").await;
    let unmerging = vec![unmerge(&merged), correct(&saying(&winner, "x"), &[], "x")];
    let answer = refused(&site.client, unmerging).await;
    answer.is(Code::InvalidArgument, "INVALID_RECORD");
    let after = heads(&site.url).await;
    assert_eq!(
        (after.0, after.1),
        (before.0 + 2, before.1 + 2),
        "the merge only"
    );
    assert!(matches!(unmerge(&merged).action, Some(Action::Unmerge(_))));
}
