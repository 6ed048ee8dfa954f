//! Domain rule 4 and W9 under races: withdrawing a source, the records that go with it, and the winner of a race.

use dateline_proto::v1::{
    Change, Evidence, Kind, RetractRecordsRequest, State, View, change::Type, evidence,
};
use tonic::Code;

use super::hands::*;
use crate::{
    gold::{changes, from_beginning, version},
    rig::{Site, meta, name},
};

/// Facts of every kind that cite only `articles/only`.
async fn resting_on_one(site: &Site) -> Vec<dateline_proto::v1::Record> {
    let facts = KINDS.into_iter().filter(|kind| *kind != Kind::Article);
    let facts = facts.map(|kind| citing(&of_kind(kind, "fact"), vec![quoting("articles/only")]));
    let drafts = make(&site.client, &facts.collect::<Vec<_>>()).await;
    show(&site.client, &drafts).await
}

#[tokio::test]
async fn an_only_source_is_not_withdrawn_alone_and_every_bereft_record_is_listed() {
    let site = base().await;
    let client = &site.client;
    let only = shown(client, &article("only")).await;
    let facts = resting_on_one(&site).await;
    let both = vec![quoting("articles/only"), quoting(SOURCE)];
    shown(client, &citing(&actor("sound"), both)).await;
    let denied = Evidence {
        modality: evidence::Modality::Contradicts.into(),
        ..quoting(SOURCE)
    };
    let denied = citing(&actor("denied"), vec![quoting("articles/only"), denied]);
    shown(client, &denied).await;
    make(
        client,
        &[citing(&actor("draft"), vec![quoting("articles/only")])],
    )
    .await;
    let before = heads(&site.url).await;
    for write in [retract(&only, "made up", false), purge(&only, false)] {
        let answer = refused(client, vec![write]).await;
        answer.is(Code::FailedPrecondition, "ONLY_EVIDENCE");
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
    assert_eq!(heads(&site.url).await, before);
    // The source can be withdrawn together with the records that cite it.
    let mut all: Vec<_> = facts
        .iter()
        .map(|fact| retract(fact, "too", false))
        .collect();
    let denied = on_desk(client, "actors/denied").await;
    all.extend([
        retract(&denied, "too", false),
        retract(&only, "made up", false),
    ]);
    done(client, all).await;
    assert_eq!(
        state(&on_desk(client, "actors/sound").await),
        State::Published
    );
}

#[tokio::test]
async fn a_cascade_takes_along_what_rests_on_nothing_else_as_one_batch_with_one_note() {
    let site = base().await;
    let client = &site.client;
    let only = shown(client, &article("only")).await;
    let facts = resting_on_one(&site).await;
    let both = vec![quoting("articles/only"), quoting(SOURCE)];
    let sound = shown(client, &citing(&actor("sound"), both)).await;
    let before = heads(&site.url).await;
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
    let wire = changes(
        &site,
        from_beginning(View::Published),
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
        let seen = look(client, name(fact), View::Published).await.unwrap();
        assert_eq!(state(&seen), State::Retracted);
        assert_eq!(meta(&seen).corrections.last().unwrap().note, "made up");
        assert_eq!(meta(&seen).uid, meta(fact).uid);
    }
    assert_eq!(on_desk(client, "actors/sound").await, sound);
}

#[tokio::test(flavor = "multi_thread")]
async fn w9_a_fact_is_never_left_with_a_withdrawn_source_whoever_is_faster() {
    let rounds = std::env::var("DATELINE_ROUNDS").map_or(60, |text| text.parse().unwrap());
    let sites = two_bases().await;
    let (mut published, mut withdrawn) = (0, 0);
    for round in 0..rounds {
        let client = &sites[0].client;
        let source = shown(client, &article(&format!("s-{round}"))).await;
        let cited = vec![quoting(name(&source))];
        let id = format!("f-{round}");
        // By publication, and by a correction that changes the source.
        let late = make(client, &[citing(&actor(&id), cited.clone())])
            .await
            .swap_remove(0);
        let moving = shown(client, &event(&id)).await;
        let moved = correct(&citing(&moving, cited), &["evidence"], "better");
        let cascade = round % 2 == 0;
        let (here, there) = (&sites[round % 2].client, &sites[(round + 1) % 2].client);
        let (first, second, third) = tokio::join!(
            send(here, commit_of(vec![publish(&late)])),
            send(there, commit_of(vec![retract(&source, "no", cascade)])),
            send(here, commit_of(vec![moved])),
        );
        for answer in [&first, &third] {
            if let Err(refused) = answer {
                refused.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
            }
        }
        if let Err(refused) = &second {
            refused.is(Code::FailedPrecondition, "ONLY_EVIDENCE");
        }
        published += usize::from(first.is_ok());
        withdrawn += usize::from(second.is_ok());
        if second.is_err() {
            continue;
        }
        for fact in [format!("actors/{id}"), format!("events/{id}")] {
            let now = on_desk(client, &fact).await;
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
    let site = base().await;
    let client = &site.client;
    let only = shown(client, &article("only")).await;
    shown(
        client,
        &citing(&actor("fact"), vec![quoting("articles/only")]),
    )
    .await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/fact".into();
    let draft = make(client, &[pointing]).await.swap_remove(0);
    let before = heads(&site.url).await;
    let writes = vec![retract(&only, "no", true), publish(&draft)];
    let answer = refused(client, writes).await;
    answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let what = "participants.actor names actors/fact".to_owned();
    assert_eq!(answer.violations, [("events/pointing".to_owned(), what)]);
    assert_eq!(heads(&site.url).await, before);
}

#[tokio::test]
async fn w9_an_embargo_does_not_rest_on_what_the_same_request_sends_back() {
    let site = base().await;
    let client = &site.client;
    let until = Some(in_ms(3_600_000));
    let target = make(client, &[actor("target")]).await.swap_remove(0);
    let target = one(client, publish_at(&target, until)).await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/target".into();
    let draft = make(client, &[pointing]).await.swap_remove(0);
    for undo in [send_back(&target, "no"), purge(&target, false)] {
        let answer = refused(client, vec![undo, publish_at(&draft, until)]).await;
        answer.is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    }
}
