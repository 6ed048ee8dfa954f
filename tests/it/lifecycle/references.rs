//! W9: a published record depends on published records only. References, evidence, quotes, and events that are part of
//! others.

use dateline_proto::v1::{EventLink, Evidence, Kind, Record, View, event_link, evidence};
use tonic::Code;

use crate::support::{
    editing::*,
    gold::{gold_records, publish_gold},
    server::start_server,
};

pub fn linked(event: &Record, others: &[&str]) -> Record {
    let mut event = event.clone();
    as_event(&mut event).links = others
        .iter()
        .map(|other| EventLink {
            r#type: event_link::Type::PartOf.into(),
            event: (*other).to_owned(),
        })
        .collect();
    event
}

#[tokio::test]
async fn w9_everything_that_is_missing_is_listed_and_published_together_it_goes() {
    let server = start_server_with_base().await;
    let mut meeting = event("meeting");
    as_event(&mut meeting).participants[0].actor = "actors/host".into();
    let meeting = linked(
        &with_evidence(&meeting, vec![evidence_quoting("articles/report")]),
        &["events/summit"],
    );
    let drafts = create_drafts(
        &server.client,
        &[meeting, actor("host"), article("report"), event("summit")],
    );
    let drafts = drafts.await;
    let before = feed_heads(&server.url).await;
    let answer = commit_err(
        &server.client,
        vec![publish(&drafts[0]), publish(&drafts[1])],
    )
    .await;
    answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    let listed = |field: &str, target: &str| {
        (
            "events/meeting".to_owned(),
            format!("{field} names {target}"),
        )
    };
    assert_eq!(
        answer.violations,
        [
            listed("evidence.article", "articles/report"),
            listed("links.event", "events/summit"),
        ]
    );
    assert_eq!(feed_heads(&server.url).await, before);
    let answer = commit_ok(&server.client, drafts.iter().map(publish).collect()).await;
    assert_eq!(
        (answer.sequence, answer.wire_sequence),
        (before.0 + 4, before.1 + 4)
    );
}

#[tokio::test]
async fn w9_a_draft_in_review_or_deleted_or_retracted_target_does_not_do() {
    let server = start_server_with_base().await;
    let client = &server.client;
    for (id, writes) in [
        ("draft", 0),
        ("review", 1),
        ("deleted", 2),
        ("retracted", 3),
    ] {
        let target = create_drafts(client, &[actor(id)]).await.swap_remove(0);
        match writes {
            1 => drop(commit_one(client, submit(&target)).await),
            2 => drop(commit_ok(client, vec![delete(&target)]).await),
            3 => {
                let public = publish_all(client, &[target]).await.swap_remove(0);
                commit_one(client, retract(&public, "no", false)).await;
            }
            _ => {}
        }
        let mut pointing = event(&format!("to-{id}"));
        as_event(&mut pointing).participants[0].actor = format!("actors/{id}");
        let draft = create_drafts(client, &[pointing]).await.swap_remove(0);
        let answer = commit_err(client, vec![publish(&draft)]).await;
        answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
        let what = format!("participants.actor names actors/{id}");
        assert_eq!(answer.violations, [(name(&draft).to_owned(), what)]);
        // The same rules hold for a correction.
        let public = create_published(client, &event(&format!("later-{id}"))).await;
        let mut pointing = public.clone();
        as_event(&mut pointing).participants[0].actor = format!("actors/{id}");
        let answer = commit_err(client, vec![correct(&pointing, &[], "now it does")]).await;
        answer.assert_is(Code::FailedPrecondition, "UNRESOLVED_REFERENCES");
    }
}

#[tokio::test]
async fn w9_a_fact_without_a_source_is_not_published_whatever_contradicts_it() {
    let server = start_server_with_base().await;
    let against = Evidence {
        modality: evidence::Modality::Contradicts.into(),
        ..evidence_quoting(SOURCE)
    };
    for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Article) {
        let bare = with_evidence(&record_of_kind(kind, "bare"), Vec::new());
        let denied = with_evidence(&record_of_kind(kind, "denied"), vec![against.clone()]);
        let drafts = create_drafts(
            &server.client,
            &[bare, denied, record_of_kind(kind, "sound")],
        )
        .await;
        let answer = commit_err(&server.client, drafts.iter().map(publish).collect()).await;
        answer.assert_is(Code::FailedPrecondition, "MISSING_EVIDENCE");
        assert_eq!(answer.fields(), [name(&drafts[0]), name(&drafts[1])]);
        let public = publish_all(&server.client, &drafts[2..])
            .await
            .swap_remove(0);
        let bare = with_evidence(&public, Vec::new());
        let answer = commit_err(&server.client, vec![correct(&bare, &[], "less")]).await;
        answer.assert_is(Code::FailedPrecondition, "MISSING_EVIDENCE");
    }
}

#[tokio::test]
async fn w9_a_quote_stands_where_it_says_and_the_refusal_says_where_it_stands() {
    let server = start_server_with_base().await;
    let mut shifted = evidence_quoting(SOURCE);
    let span = shifted.quote.as_mut().unwrap();
    (span.start, span.end) = (1, 13);
    let mut unknown = evidence_quoting(SOURCE);
    unknown.article_revision = 9;
    let mut invented = evidence_quoting(SOURCE);
    invented.quote.as_mut().unwrap().exact = "Never said so".into();
    invented.quote.as_mut().unwrap().end = 13;
    let record = with_evidence(
        &actor("misquoting"),
        vec![
            shifted.clone(),
            unknown.clone(),
            evidence_quoting(SOURCE),
            invented,
        ],
    );
    let answer = commit_err(&server.client, vec![create(&record)]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    let at = |place: usize, field: &str| {
        format!("writes[0].create.record.actor.evidence[{place}].{field}")
    };
    assert_eq!(
        answer.fields(),
        [at(0, "quote"), at(1, "article_revision"), at(3, "quote")]
    );
    let said: Vec<_> = answer
        .violations
        .iter()
        .map(|(_, what)| what.as_str())
        .collect();
    assert!(said[0].contains("occurs once, from 0 to 12"), "{said:?}");
    assert!(
        said[1].contains("no revision 9; its newest is 2"),
        "{said:?}"
    );
    assert!(said[2].contains("does not occur"), "{said:?}");
    // A draft may quote a missing article; publication checks it again.
    shifted.article = "articles/later".into();
    let draft = create_drafts(
        &server.client,
        &[with_evidence(&actor("early"), vec![shifted])],
    )
    .await
    .swap_remove(0);
    let later = create_drafts(&server.client, &[article("later")])
        .await
        .swap_remove(0);
    let answer = commit_err(&server.client, vec![publish(&draft), publish(&later)]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(
        answer.fields(),
        ["writes[0].publish.record.evidence[0].quote"]
    );
}

#[tokio::test]
async fn w9_a_correction_of_the_article_does_not_break_quotes_of_what_it_said() {
    let server = start_server_with_base().await;
    let mut source = desk_record(&server.client, SOURCE).await;
    if let Some(dateline_proto::v1::record::Kind::Article(article)) = &mut source.kind {
        article.headline = "Other words".into();
    }
    let corrected = commit_one(&server.client, correct(&source, &[], "misspelt")).await;
    assert_eq!(meta(&corrected).revision, 3);
    create_published(&server.client, &actor("quoting-the-first")).await;
    let mut newest = evidence_quoting(SOURCE);
    newest.article_revision = 3;
    let record = with_evidence(&actor("quoting-the-third"), vec![newest]);
    let answer = commit_err(&server.client, vec![create(&record)]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(
        answer.violations[0].1.contains("does not occur"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn w9_no_event_is_part_of_itself_in_a_batch_or_over_the_store() {
    let server = start_server_with_base().await;
    let ring: Vec<_> = (0..3)
        .map(|n| {
            linked(
                &event(&format!("ring-{n}")),
                &[&format!("events/ring-{}", (n + 1) % 3)],
            )
        })
        .collect();
    let drafts = create_drafts(&server.client, &ring).await;
    let answer = commit_err(&server.client, drafts.iter().map(publish).collect()).await;
    answer.assert_is(Code::FailedPrecondition, "PART_OF_ITSELF");
    assert_eq!(
        answer.fields(),
        ["events/ring-0", "events/ring-1", "events/ring-2"]
    );
    // One link less, which a correction then adds.
    let open = commit_one(&server.client, update(&linked(&drafts[2], &[]), &[])).await;
    let public = publish_all(
        &server.client,
        &[open, drafts[1].clone(), drafts[0].clone()],
    )
    .await;
    let closing = linked(&public[0], &["events/ring-0"]);
    let answer = commit_err(&server.client, vec![correct(&closing, &[], "x")]).await;
    answer.assert_is(Code::FailedPrecondition, "PART_OF_ITSELF");
    assert!(
        answer
            .message
            .contains("events/ring-2 → events/ring-0 → events/ring-1"),
        "{answer:?}"
    );
    let itself = linked(&event("alone"), &["events/alone"]);
    let answer = match try_commit(&server.client, commit_request(vec![create(&itself)])).await {
        Err(refused) => refused,
        Ok(made) => commit_err(&server.client, vec![publish(&made.records[0])]).await,
    };
    assert_ne!(answer.code, Code::Internal);
    // Several paths to the same record are no cycle.
    let middle: Vec<_> = (0..12)
        .map(|n| linked(&event(&format!("mid-{n}")), &["events/top"]))
        .collect();
    let all: Vec<_> = middle
        .iter()
        .map(|record| name(record).to_owned())
        .collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let mut diamond = vec![event("top"), linked(&event("bottom"), &all)];
    diamond.extend(middle);
    let drafts = create_drafts(&server.client, &diamond).await;
    publish_all(&server.client, &drafts).await;
}

#[tokio::test]
async fn w9_layers_of_many_ways_up_are_decided_in_no_time() {
    let server = start_server_with_base().await;
    let layers = 40;
    let mut events = vec![event("l0-0"), event("l0-1"), event("l0-2")];
    for layer in 1..layers {
        for n in 0..3 {
            let above: Vec<_> = (0..3)
                .map(|up| format!("events/l{}-{up}", layer - 1))
                .collect();
            let above: Vec<_> = above.iter().map(String::as_str).collect();
            events.push(linked(&event(&format!("l{layer}-{n}")), &above));
        }
    }
    let drafts = create_drafts(&server.client, &events).await;
    let publishing = tokio::time::timeout(
        crate::support::server::TIMEOUT,
        publish_all(&server.client, &drafts),
    );
    assert_eq!(
        publishing.await.expect("3^40 ways are not walked").len(),
        120
    );
}

#[tokio::test]
async fn w9_a_merged_target_does_with_a_warning_when_it_is_written() {
    let server = start_server_with_base().await;
    let loser = create_published(&server.client, &actor("old-name")).await;
    let winner = create_published(&server.client, &actor("new-name")).await;
    commit_one(&server.client, merge(&loser, &winner)).await;
    let mut pointing = event("pointing");
    as_event(&mut pointing).participants[0].actor = "actors/old-name".into();
    let answer = commit_ok(&server.client, vec![create(&pointing)]).await;
    let [warning] = answer.warnings.as_slice() else {
        panic!("{:?}", answer.warnings)
    };
    assert_eq!(warning.reason, "MERGED_REFERENCE");
    assert_eq!(
        warning.field,
        "writes[0].create.record.event.participants.actor"
    );
    assert_eq!(warning.records, ["actors/old-name", "actors/new-name"]);
    let answer = commit_ok(&server.client, vec![publish(&answer.records[0])]).await;
    let reasons = answer.warnings.iter().map(|it| it.reason.as_str());
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        ["EVIDENCE_REPINNED"],
        "the other was told before"
    );
    let seen = find_record(&server.client, "events/pointing", View::Published)
        .await
        .unwrap();
    assert_eq!(
        as_event(&mut seen.clone()).participants[0].actor,
        "actors/old-name"
    );
}

#[tokio::test]
async fn the_gold_bundle_comes_in_and_out_with_no_warning_but_of_its_pins() {
    let server = start_server().await;
    let created = try_commit(&server.client, create_request(&gold_records()))
        .await
        .unwrap();
    assert_eq!((created.records.len(), created.warnings), (47, Vec::new()));
    let answer = commit_ok(
        &server.client,
        created.records.iter().map(publish).collect(),
    )
    .await;
    assert_eq!(answer.records.len(), 47);
    let reasons: Vec<_> = answer
        .warnings
        .iter()
        .map(|it| it.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        ["EVIDENCE_REPINNED"],
        "all cite the draft of one article"
    );
    let other = start_server_with_base().await;
    let _ = other;
    let fresh = start_server().await;
    publish_gold(&fresh).await;
}
