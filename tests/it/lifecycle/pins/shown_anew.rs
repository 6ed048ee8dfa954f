//! Pins that a merge or a load shows anew.

use super::*;

/// Restores the pins of a published record to those before pins were checked.
async fn as_of_old(server: &TestServer, record: &str, revision: i64) {
    let mut stored = desk_record(&server.client, record).await;
    stored.kind.as_mut().and_then(Body::take_meta);
    for entry in stored.kind.as_mut().unwrap().evidence_mut().unwrap() {
        entry.article_revision = revision;
    }
    let content = match stored.kind.unwrap() {
        Body::Actor(actor) => actor.encode_to_vec(),
        other => panic!("{other:?}"),
    };
    let statement = format!(
        "UPDATE changes SET content = '\\x{}', content_at = NULL WHERE name = '{record}'",
        hex::encode(content)
    );
    execute_sql(&server.url, &statement).await;
}

#[tokio::test]
async fn f10_a_merge_shows_no_pin_anew_that_readers_cannot_follow() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let loser = create_published(client, &actor("loser")).await;
    let winner = create_published(client, &actor("winner")).await;
    as_of_old(&server, "actors/winner", 1).await;
    let answer = commit_ok(client, vec![merge(&loser, &winner)]).await;
    assert_eq!(answer.warnings[0].reason, REPINNED);
    let kept = find_record(client, "actors/winner", View::Published)
        .await
        .unwrap();
    assert_eq!(pins(&kept), [2]);
    as_of_old(&server, "actors/loser", 1).await;
    let merged = desk_record(client, "actors/loser").await;
    commit_one(client, unmerge(&merged)).await;
    let back = find_record(client, "actors/loser", View::Published)
        .await
        .unwrap();
    assert_eq!(pins(&back), [2]);
}

fn load_of(records: &[Record]) -> LoadRecordsRequest {
    LoadRecordsRequest {
        records: records.to_vec(),
        ..LoadRecordsRequest::default()
    }
}

#[tokio::test]
async fn f10_what_is_loaded_as_published_quotes_what_readers_could_read() {
    let old = start_server_with_base().await;
    let client = &old.client;
    let clean = cleaned(&old, "story").await;
    let public = commit_one(client, publish(&clean)).await;
    let mut quoting_it = with_evidence(&actor("quoting"), vec![evidence_quoting("articles/story")]);
    quoting_it = create_published(client, &quoting_it).await;
    assert_eq!(pins(&quoting_it), [3]);
    let leaking = |revision| with_evidence(&quoting_it, vec![secret("articles/story", revision)]);
    let new = start_server().await;
    let mut admin = new.client.clone().admin;
    let refused = admin
        .load_records(load_of(&[public.clone(), leaking(1)]))
        .await
        .unwrap_err();
    let refused = RpcError::from(refused);
    refused.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    assert_eq!(refused.fields(), ["actors/quoting"]);
    // A pin of a draft whose quote is in the published revision moves; loaded twice, the record exists already.
    let mut drafted = quoting_it.clone();
    drafted.kind.as_mut().unwrap().evidence_mut().unwrap()[0].article_revision = 1;
    for loaded in [2, 0] {
        let answer = admin
            .load_records(load_of(&[public.clone(), drafted.clone()]))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answer.loaded, loaded);
        assert_eq!(answer.warnings.len(), usize::from(loaded > 0));
    }
    let seen = find_record(&new.client, "actors/quoting", View::Published).await;
    assert_eq!(pins(&seen.unwrap()), [3]);
    // A quote of a published revision that was corrected since stays: readers could read it there.
    let mut corrected = public.clone();
    as_article(&mut corrected).headline = "Other words".into();
    let corrected = commit_one(client, correct(&corrected, &[], "wrong")).await;
    let third = start_server().await;
    let mut admin = third.client.clone().admin;
    let answer = admin
        .load_records(load_of(&[corrected.clone(), quoting_it.clone()]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((answer.loaded, answer.warnings.len()), (2, 0));
    let seen = find_record(&third.client, "actors/quoting", View::Published).await;
    assert_eq!(pins(&seen.unwrap()), [3], "as it was");
    // Loaded before its article, it makes the load of the article fail.
    let late = start_server().await;
    let mut admin = late.client.clone().admin;
    admin.load_records(load_of(&[leaking(1)])).await.unwrap();
    let answer = admin.load_records(load_of(std::slice::from_ref(&public)));
    let answer = RpcError::from(answer.await.unwrap_err());
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    assert_eq!(answer.fields(), ["actors/quoting"]);
    // A record that is loaded as a draft is checked when it is published.
    let fourth = start_server().await;
    let mut draft = leaking(1);
    match draft.kind.as_mut().unwrap() {
        Body::Actor(actor) => actor.meta.as_mut().unwrap().state = State::Draft.into(),
        other => panic!("{other:?}"),
    }
    let mut admin = fourth.client.clone().admin;
    admin.load_records(load_of(&[public, draft])).await.unwrap();
    let draft = desk_record(&fourth.client, "actors/quoting").await;
    let answer = try_commit(&fourth.client, commit_request(vec![publish(&draft)])).await;
    assert!(answer.is_err(), "{answer:?}");
}
