//! Domain rule 4 and W9 under races: withdrawing a source, the records that go with it, and the winner of a race.

use dateline_proto::v1::{
    Change, Evidence, Kind, RetractRecordsRequest, State, View, change::Type, evidence,
};
use tonic::Code;

use crate::support::{
    editing::*,
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};

/// Facts of every kind that cite only `articles/only`.
async fn resting_on_one(server: &TestServer) -> Vec<dateline_proto::v1::Record> {
    let facts = KINDS.into_iter().filter(|kind| *kind != Kind::Article);
    let facts = facts.map(|kind| {
        with_evidence(
            &record_of_kind(kind, "fact"),
            vec![evidence_quoting("articles/only")],
        )
    });
    let drafts = create_drafts(&server.client, &facts.collect::<Vec<_>>()).await;
    publish_all(&server.client, &drafts).await
}

#[tokio::test]
async fn an_only_source_is_not_withdrawn_alone_and_every_bereft_record_is_listed() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let only = create_published(client, &article("only")).await;
    let facts = resting_on_one(&server).await;
    let both = vec![evidence_quoting("articles/only"), evidence_quoting(SOURCE)];
    create_published(client, &with_evidence(&actor("sound"), both)).await;
    let denied = Evidence {
        modality: evidence::Modality::Contradicts.into(),
        ..evidence_quoting(SOURCE)
    };
    let denied = with_evidence(
        &actor("denied"),
        vec![evidence_quoting("articles/only"), denied],
    );
    create_published(client, &denied).await;
    create_drafts(
        client,
        &[with_evidence(
            &actor("draft"),
            vec![evidence_quoting("articles/only")],
        )],
    )
    .await;
    let before = feed_heads(&server.url).await;
    for write in [retract(&only, "made up", false), purge(&only, false)] {
        let answer = commit_err(client, vec![write]).await;
        answer.assert_is(Code::FailedPrecondition, "ONLY_EVIDENCE");
        let mut fields = answer.fields();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "actors/denied",
                "actors/fact",
                "events/fact",
                "relations/fact"
            ]
        );
        assert!(
            answer.violations[0].1.contains("articles/only"),
            "{answer:?}"
        );
    }
    assert_eq!(feed_heads(&server.url).await, before);
    // The source can be withdrawn together with the records that cite it.
    let mut all: Vec<_> = facts
        .iter()
        .map(|fact| retract(fact, "too", false))
        .collect();
    let denied = desk_record(client, "actors/denied").await;
    all.extend([
        retract(&denied, "too", false),
        retract(&only, "made up", false),
    ]);
    commit_ok(client, all).await;
    assert_eq!(
        state(&desk_record(client, "actors/sound").await),
        State::Published
    );
}

#[tokio::test]
async fn a_cascade_takes_along_what_rests_on_nothing_else_as_one_batch_with_one_note() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let only = create_published(client, &article("only")).await;
    let facts = resting_on_one(&server).await;
    let both = vec![evidence_quoting("articles/only"), evidence_quoting(SOURCE)];
    let sound = create_published(client, &with_evidence(&actor("sound"), both)).await;
    let before = feed_heads(&server.url).await;
    let request = RetractRecordsRequest {
        records: vec![version(&only)],
        note: "made up".into(),
        cascade: true,
        ..RetractRecordsRequest::default()
    };
    let answer = client
        .clone()
        .editorial
        .retract_records(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(name(&answer.records[0]), "articles/only");
    let mut gone = names(&answer.records[1..]);
    gone.sort_unstable();
    assert_eq!(gone, ["actors/fact", "events/fact", "relations/fact"]);
    assert_eq!(
        (answer.sequence, answer.wire_sequence),
        (before.0 + 4, before.1 + 4)
    );
    let wire = read_changes(
        &server,
        watch_from_beginning(View::Published),
        usize::try_from(before.1).unwrap() + 4,
    )
    .await;
    let batch: Vec<&Change> = wire.iter().filter(|it| it.sequence > before.1).collect();
    assert!(
        batch
            .iter()
            .all(|it| it.r#type() == Type::Retracted && it.note == "made up")
    );
    assert!(batch.iter().all(|it| it.batch == answer.wire_sequence));
    for fact in &facts {
        let seen = find_record(client, name(fact), View::Published)
            .await
            .unwrap();
        assert_eq!(state(&seen), State::Retracted);
        assert_eq!(meta(&seen).corrections.last().unwrap().note, "made up");
        assert_eq!(meta(&seen).uid, meta(fact).uid);
    }
    assert_eq!(desk_record(client, "actors/sound").await, sound);
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_a_fact_is_never_left_with_a_withdrawn_source_whoever_is_faster() {
    let rounds = std::env::var("DATELINE_ROUNDS").map_or(60, |text| text.parse().unwrap());
    let servers = start_two_servers_with_base().await;
    let (mut published, mut withdrawn) = (0, 0);
    for round in 0..rounds {
        let client = &servers[0].client;
        let source = create_published(client, &article(&format!("s-{round}"))).await;
        let cited = vec![evidence_quoting(name(&source))];
        let id = format!("f-{round}");
        // By publication, and by a correction that changes the source.
        let late = create_drafts(client, &[with_evidence(&actor(&id), cited.clone())])
            .await
            .swap_remove(0);
        let moving = create_published(client, &event(&id)).await;
        let moved = correct(&with_evidence(&moving, cited), &["evidence"], "better");
        let cascade = round % 2 == 0;
        let (here, there) = (&servers[round % 2].client, &servers[(round + 1) % 2].client);
        let (first, second, third) = tokio::join!(
            try_commit(here, commit_request(vec![publish(&late)])),
            try_commit(there, commit_request(vec![retract(&source, "no", cascade)])),
            try_commit(here, commit_request(vec![moved])),
        );
        for answer in [&first, &third] {
            if let Err(refused) = answer {
                refused.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
            }
        }
        if let Err(refused) = &second {
            refused.assert_is(Code::FailedPrecondition, "ONLY_EVIDENCE");
        }
        published += usize::from(first.is_ok());
        withdrawn += usize::from(second.is_ok());
        if second.is_err() {
            continue;
        }
        for fact in [format!("actors/{id}"), format!("events/{id}")] {
            let now = desk_record(client, &fact).await;
            let cites = match &now.kind {
                Some(dateline_proto::v1::record::Kind::Actor(it)) => &it.evidence,
                Some(dateline_proto::v1::record::Kind::Event(it)) => &it.evidence,
                _ => panic!("{now:?}"),
            };
            let rests = cites.iter().all(|it| it.article == name(&source));
            assert!(
                !(rests && state(&now) == State::Published),
                "{fact} is published and its only source is withdrawn"
            );
        }
    }
    println!("{rounds} rounds: {published} published, {withdrawn} withdrawn");
}

#[tokio::test]
async fn w9_what_a_cascade_takes_is_nothing_to_publish_on() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let only = create_published(client, &article("only")).await;
    create_published(
        client,
        &with_evidence(&actor("fact"), vec![evidence_quoting("articles/only")]),
    )
    .await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/fact".into();
    let draft = create_drafts(client, &[pointing]).await.swap_remove(0);
    let before = feed_heads(&server.url).await;
    let writes = vec![retract(&only, "no", true), publish(&draft)];
    let answer = commit_err(client, writes).await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let what = "participants.actor names actors/fact".to_owned();
    assert_eq!(answer.violations, [("events/pointing".to_owned(), what)]);
    assert_eq!(feed_heads(&server.url).await, before);
}

#[tokio::test]
async fn w9_an_embargo_does_not_rest_on_what_the_same_request_sends_back() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let until = Some(timestamp_in_ms(3_600_000));
    let target = create_drafts(client, &[actor("target")])
        .await
        .swap_remove(0);
    let target = commit_one(client, publish_at(&target, until)).await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/target".into();
    let draft = create_drafts(client, &[pointing]).await.swap_remove(0);
    for undo in [send_back(&target, "no"), purge(&target, false)] {
        let answer = commit_err(client, vec![undo, publish_at(&draft, until)]).await;
        answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    }
}
