//! F5: a snapshot is the state at one sequence, despite concurrent writes and wherever it is interrupted.

use dateline_proto::v1::{Kind, RecordFilter, State, View, WatchRequest};
use tonic::Code;

use crate::support::{
    crowd::{crowd, filters, listed},
    editing::*,
    gold::publish_gold,
    replica::{Replica, follow, next_response, watch_err},
    server::{config, create_database, start_server, start_server_with},
    watch::{open_watch, watch_from_cursor, watch_snapshot},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f5_a_snapshot_that_is_cut_everywhere_under_writers_is_the_state_at_its_sequence() {
    let servers = start_two_servers_with_base().await;
    let crowd = crowd(&servers[0], 5000).await;
    for view in [View::Published, View::Desk] {
        let editor = servers[0].client.clone();
        let edited: Vec<_> = crowd.iter().step_by(40).cloned().collect();
        let view_name = view.as_str_name().to_lowercase().replace('_', "-");
        let writing = tokio::spawn(async move {
            for (number, record) in edited.iter().enumerate() {
                let now = desk_record(&editor, name(record)).await;
                match (number % 4, state(&now)) {
                    (0, State::Published) => {
                        commit_one(&editor, retract(&now, "wrong", false)).await;
                    }
                    (_, State::Published) => {
                        let text = format!("{number} {view_name}");
                        commit_one(
                            &editor,
                            correct(&with_text(&now, &text), &[], "said better"),
                        )
                        .await;
                    }
                    _ => {
                        create_drafts(&editor, &[actor(&format!("late-{view_name}-{number}"))])
                            .await;
                    }
                }
            }
        });
        // Every response is read by a new stream, from either server in turn.
        let mut follower = Replica::default();
        let mut request = watch_snapshot(view);
        let mut turn = 0;
        loop {
            let mut stream = open_watch(&servers[turn % 2].client, request).await;
            follower.apply(next_response(&mut stream).await);
            request = watch_from_cursor(view, &follower.cursor);
            turn += 1;
            if follower.checkpoint.as_ref().is_some_and(|it| it.caught_up) {
                break;
            }
        }
        assert!(turn > 10, "{turn} responses");
        let at = follower.checkpoint.as_ref().unwrap().sequence;
        assert_eq!(at, follower.snapshot_sequence);
        writing.await.unwrap();
        // The state at that sequence from the log: the fold of a stream from the beginning.
        let mut folded = Replica::default();
        let mut stream = open_watch(
            &servers[0].client,
            crate::support::watch::watch_from_beginning(view),
        )
        .await;
        while folded.sequences.last().is_none_or(|last| *last < at) {
            let mut response = next_response(&mut stream).await;
            response.changes.retain(|change| change.sequence <= at);
            let behind = response.changes.is_empty() && response.checkpoint.is_none();
            folded.apply(response);
            if behind {
                break;
            }
        }
        assert_eq!(follower.records.len(), folded.records.len());
        assert_eq!(follower.records, folded.records);
        // Then the changes after it.
        let (desk, wire) = feed_heads(&servers[0].url).await;
        let head = if view == View::Desk { desk } else { wire };
        let mut stream = open_watch(
            &servers[1].client,
            watch_from_cursor(view, &follower.cursor),
        )
        .await;
        follow(&mut follower, &mut stream, head).await;
        assert_eq!(follower.sequences, (at + 1..=head).collect::<Vec<_>>());
        let shown = crate::support::replica::get_feed(&servers[0], view)
            .await
            .digest
            .unwrap();
        assert_eq!(follower.digest(), shown);
    }
}

#[tokio::test]
async fn f5_a_snapshot_under_a_filter_is_what_a_list_under_it_returns() {
    let server = start_server().await;
    let published = publish_gold(&server).await;
    let mut ties = published.iter();
    let tie = ties.find(|it| name(it).starts_with("relations/")).unwrap();
    commit_one(&server.client, retract(tie, "wrong", false)).await;
    for view in [View::Published, View::Desk] {
        for filter in &filters() {
            let listed = listed(&server, view, filter).await;
            let request = WatchRequest {
                filter: Some(filter.clone()),
                ..watch_snapshot(view)
            };
            let mut follower = Replica::default();
            let mut stream = open_watch(&server.client, request).await;
            while follower.checkpoint.is_none() {
                follower.apply(next_response(&mut stream).await);
            }
            let copied: Vec<_> = follower.records.into_values().collect();
            assert_eq!(copied, listed, "{view:?} {filter:?}");
        }
    }
}

#[tokio::test]
async fn f5_an_empty_snapshot_is_caught_up_at_once() {
    let server = start_server_with(config(&create_database().await)).await;
    let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
    let first = next_response(&mut stream).await;
    assert!(!first.cursor.is_empty() && first.checkpoint.is_none());
    let first = next_response(&mut stream).await;
    let checkpoint = first.checkpoint.unwrap();
    assert!(checkpoint.caught_up && first.records.is_empty());
    assert_eq!((checkpoint.sequence, checkpoint.head_sequence), (0, 0));
}

#[tokio::test]
async fn f4_f5_a_snapshot_begins_with_a_cursor_before_its_first_record() {
    let server = start_server().await;
    publish_gold(&server).await;
    let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
    let first = next_response(&mut stream).await;
    assert_eq!((first.records.len(), first.snapshot_sequence), (0, 47));
    // Concurrent writes belong to the changes after the snapshot.
    commit_one(&server.client, create(&actor("late"))).await;
    let mut stream = open_watch(
        &server.client,
        watch_from_cursor(View::Published, &first.cursor),
    )
    .await;
    let mut follower = Replica::default();
    while follower.checkpoint.is_none() {
        follower.apply(next_response(&mut stream).await);
    }
    assert_eq!(
        (follower.records.len(), follower.snapshot_sequence),
        (47, 47)
    );
}

#[tokio::test]
async fn f5_a_snapshot_is_not_gone_on_with_under_another_filter() {
    let server = start_server().await;
    publish_gold(&server).await;
    let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
    let first = next_response(&mut stream).await;
    let request = WatchRequest {
        filter: Some(RecordFilter {
            kinds: vec![Kind::Actor.into()],
            ..RecordFilter::default()
        }),
        ..watch_from_cursor(View::Published, &first.cursor)
    };
    let refusal = watch_err(&server, request).await;
    refusal.assert_is(Code::InvalidArgument, "INVALID_CURSOR");
    assert!(refusal.message.contains("filter"), "{refusal:?}");
}

#[tokio::test]
async fn f5_what_is_erased_after_a_snapshot_began_is_not_in_the_rest_of_it() {
    let server = start_server_with_base().await;
    let crowd = crowd(&server, 200).await;
    let last = crowd.last().unwrap();
    let mut follower = Replica::default();
    let mut stream = open_watch(&server.client, watch_snapshot(View::Published)).await;
    while follower.records.is_empty() {
        follower.apply(next_response(&mut stream).await);
    }
    assert!(!follower.records.contains_key(name(last)));
    commit_ok(&server.client, vec![purge(last, false)]).await;
    let mut stream = open_watch(
        &server.client,
        watch_from_cursor(View::Published, &follower.cursor),
    )
    .await;
    while follower.checkpoint.is_none() {
        follower.apply(next_response(&mut stream).await);
    }
    assert_eq!(follower.records.len(), crowd.len() + 3 - 1);
    assert!(!follower.records.contains_key(name(last)));
    assert!(!follower.records.contains_key(""), "nor what is left of it");
}
