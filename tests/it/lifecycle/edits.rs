//! W2, W3, W6, W8 and field masks: edits that are refused, edits that collide, and the effects of an edit.

use dateline_proto::v1::{
    CorrectRecordRequest, Evidence, FuzzyDate, Kind, Period, UpdateRecordRequest, View, correction,
};
use tonic::Code;

use crate::support::{editing::*, server::TestServer};

async fn a_stale_etag_is_refused(server: &TestServer, kind: Kind) {
    let client = &server.client;
    let draft = create_drafts(client, &[record_of_kind(kind, "stale")])
        .await
        .swap_remove(0);
    let newer = commit_one(client, update(&with_text(&draft, "newer"), &[])).await;
    let before = feed_heads(&server.url).await;
    let stale = with_text(&draft, "lost");
    let writes = [
        update(&stale, &[]),
        delete(&stale),
        submit(&stale),
        publish(&stale),
        restore(&stale, 1, ""),
        purge(&stale, false),
        send_back(&stale, ""),
        correct(&stale, &[], "x"),
        retract(&stale, "x", false),
        unmerge(&stale),
    ];
    for write in writes {
        let answer = commit_err(client, vec![write]).await;
        answer.assert_is(Code::Aborted, "ETAG_MISMATCH");
        assert_eq!(answer.about["name"], name(&draft));
        assert_eq!(answer.about["etag"], meta(&newer).etag);
        assert_eq!(answer.about["changed_paths"], text_field(&draft));
    }
    let unknown = with_etag(&draft, "77-what");
    let answer = commit_err(client, vec![update(&unknown, &[])]).await;
    answer.assert_is(Code::Aborted, "ETAG_MISMATCH");
    assert_eq!(
        answer.about["changed_paths"], "",
        "nothing is known of that version"
    );
    let none = with_etag(&draft, "");
    let answer = commit_err(client, vec![update(&none, &[]), delete(&none)]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(answer.fields()[0].ends_with(".meta.etag"), "{answer:?}");
    assert_eq!(desk_record(client, name(&draft)).await, newer);
    assert_eq!(feed_heads(&server.url).await, before, "W2: nothing moved");
}

#[tokio::test]
async fn w2_w3_a_stale_etag_is_refused_by_every_write_with_what_has_changed() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        a_stale_etag_is_refused(&server, kind).await;
    }
}

#[tokio::test]
async fn w3_the_paths_that_have_changed_are_precise() {
    let server = start_server_with_base().await;
    let read = create_drafts(&server.client, &[event("precise")])
        .await
        .swap_remove(0);
    let mut newer = read.clone();
    let inner = as_event(&mut newer);
    inner.time = Some(Period {
        start: Some(FuzzyDate {
            edtf: "2021".into(),
            ..FuzzyDate::default()
        }),
        ..Period::default()
    });
    let first = commit_one(&server.client, update(&newer, &[])).await;
    let mut newer = first.clone();
    let inner = as_event(&mut newer);
    inner.participants[0].role = 1;
    inner.time.as_mut().unwrap().start.as_mut().unwrap().edtf = "2022".into();
    commit_one(&server.client, update(&newer, &[])).await;
    let answer = commit_err(&server.client, vec![update(&with_text(&first, "x"), &[])]).await;
    let paths = &answer.assert_is(Code::Aborted, "ETAG_MISMATCH").about["changed_paths"];
    let paths: Vec<_> = paths.split(',').collect();
    assert!(paths.contains(&"time.start.edtf"), "{paths:?}");
    assert!(
        paths.contains(&"participants[actors/one].role"),
        "{paths:?}"
    );
    assert!(!paths.contains(&"summary"), "{paths:?}");
}

/// Runs one editor of two, who writes its own field `rounds` times, and reads again whenever the other was faster.
async fn edit(server: &TestServer, field: &'static str, rounds: usize) -> usize {
    let mut conflicts = 0;
    let mut read = desk_record(&server.client, "actors/shared").await;
    for round in 1..=rounds {
        loop {
            let mut record = read.clone();
            let inner = as_actor(&mut record);
            match field {
                "description" => inner.description = round.to_string(),
                _ => inner.honorific_prefix = round.to_string(),
            }
            match try_commit(
                &server.client,
                commit_request(vec![update(&record, &[field])]),
            )
            .await
            {
                Ok(mut answer) => {
                    read = answer.records.swap_remove(0);
                    break;
                }
                Err(refused) => {
                    refused.assert_is(Code::Aborted, "ETAG_MISMATCH");
                    conflicts += 1;
                    read = desk_record(&server.client, "actors/shared").await;
                }
            }
        }
    }
    conflicts
}

#[tokio::test(flavor = "multi_thread")]
async fn w3_two_editors_of_different_fields_lose_nothing_of_each_other() {
    let rounds = std::env::var("DATELINE_ROUNDS").map_or(100, |text| text.parse().unwrap());
    let servers = start_two_servers_with_base().await;
    create_drafts(&servers[0].client, &[actor("shared")]).await;
    let (left, right) = tokio::join!(
        edit(&servers[0], "description", rounds),
        edit(&servers[1], "honorific_prefix", rounds),
    );
    println!("{rounds} rounds by two editors, {} conflicts", left + right);
    let count = 1 + 2 * i64::try_from(rounds).unwrap();
    let (mut first, mut second) = (0, 0);
    for revision in 1..=count {
        let request = dateline_proto::v1::GetRecordRequest {
            revision: Some(revision),
            ..get_request("actors/shared", View::Desk)
        };
        let mut record = get_record(&servers[0].client, request)
            .await
            .unwrap()
            .record
            .unwrap();
        let inner = as_actor(&mut record);
        let now = |text: &str| text.parse::<usize>().unwrap_or(0);
        let values = (now(&inner.description), now(&inner.honorific_prefix));
        let grown = values.0 - first + values.1 - second;
        assert_eq!(
            grown,
            usize::from(revision > 1),
            "revision {revision} adds one edit"
        );
        (first, second) = values;
    }
    assert_eq!((first, second), (rounds, rounds), "0 fields lost");
    assert_eq!(
        meta(&desk_record(&servers[0].client, "actors/shared").await).revision,
        count
    );
}

#[tokio::test]
async fn w6_all_violations_of_all_writes_are_told_at_once_and_nothing_is_written() {
    let server = start_server_with_base().await;
    let before = feed_heads(&server.url).await;
    let mut no_name = actor("fine");
    as_actor(&mut no_name).display_name.clear();
    let mut elsewhere = actor("elsewhere");
    as_actor(&mut elsewhere).region_code = "UK".into();
    let mut late = event("late");
    as_event(&mut late).time = Some(Period {
        start: Some(FuzzyDate {
            edtf: "2022-13".into(),
            ..FuzzyDate::default()
        }),
        ..Period::default()
    });
    as_event(&mut late).evidence.push(Evidence {
        article_revision: -1,
        ..Evidence::default()
    });
    let writes = vec![
        create(&no_name),
        create(&elsewhere),
        create(&actor("good")),
        create(&late),
    ];
    let answer = commit_err(&server.client, writes).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    let fields = answer.fields();
    for field in [
        "writes[0].create.record.actor.display_name",
        "writes[1].create.record.actor.region_code",
        "writes[3].create.record.event.time.start.edtf",
        "writes[3].create.record.event.evidence[1].article",
        "writes[3].create.record.event.evidence[1].article_revision",
        "writes[3].create.record.event.evidence[1].modality",
    ] {
        assert!(
            fields.contains(&field),
            "{field} is missing from {fields:?}"
        );
    }
    assert!(fields.iter().all(|field| !field.starts_with("writes[2]")));
    let region = answer
        .violations
        .iter()
        .find(|(field, _)| field.contains("region_code"));
    assert!(
        region.unwrap().1.contains("write GB"),
        "what would be right"
    );
    assert_eq!(
        find_record(&server.client, "actors/good", View::Desk).await,
        None
    );
    assert_eq!(feed_heads(&server.url).await, before);
}

#[tokio::test]
async fn w6_violations_that_only_the_store_shows_are_told_at_once_too() {
    let server = start_server_with_base().await;
    let drafts = create_drafts(&server.client, &[actor("a"), actor("b")]).await;
    let mut first = drafts[0].clone();
    as_actor(&mut first).display_name.clear();
    let mut second = drafts[1].clone();
    as_actor(&mut second).names.clear();
    let answer = commit_err(
        &server.client,
        vec![update(&first, &[]), update(&second, &["names"])],
    )
    .await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    let fields = answer.fields();
    assert!(
        fields.contains(&"writes[0].update.record.actor.display_name"),
        "{fields:?}"
    );
    assert!(
        fields.contains(&"writes[1].update.record.actor.names"),
        "{fields:?}"
    );
}

async fn corrections_are_public(server: &TestServer, kind: Kind) {
    let client = &server.client;
    let published = create_published(client, &record_of_kind(kind, "public")).await;
    let field = text_field(&published);
    let answer = commit_err(
        client,
        vec![update(&with_text(&published, "silently"), &[])],
    )
    .await;
    answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
    assert!(answer.message.contains("Correct"), "{}", answer.message);
    assert_eq!(answer.about["state"], "STATE_PUBLISHED");
    let answer = commit_err(client, vec![correct(&with_text(&published, "x"), &[], "")]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(answer.fields(), ["writes[0].correct.note"]);
    let answer = commit_err(client, vec![delete(&published)]).await;
    answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
    let request = CorrectRecordRequest {
        record: Some(with_text(&published, "right")),
        note: "it was wrong".into(),
        kind: correction::Kind::Update.into(),
        ..CorrectRecordRequest::default()
    };
    let answer = client
        .clone()
        .editorial
        .correct_record(request)
        .await
        .unwrap()
        .into_inner();
    let corrected = answer.record.unwrap();
    let seen = find_record(client, name(&published), View::Published)
        .await
        .unwrap();
    assert_eq!(
        (text(&seen), without_server_fields(&seen)),
        ("right", without_server_fields(&corrected))
    );
    assert_eq!(meta(&seen).sequence, answer.wire_sequence);
    let [only] = meta(&seen).corrections.try_into().unwrap();
    assert_eq!(only.kind(), correction::Kind::Update);
    assert_eq!((only.revision, only.note.as_str()), (3, "it was wrong"));
    assert_eq!(only.changed_fields, [field]);
    // An edit without a change makes no revision and no note.
    let before = feed_heads(&server.url).await;
    let same = commit_one(client, correct(&corrected, &[], "nothing")).await;
    assert_eq!(same, corrected);
    assert_eq!(feed_heads(&server.url).await, before);
    let kind = correction::Kind::Retraction.into();
    let request = CorrectRecordRequest {
        record: Some(with_text(&corrected, "y")),
        note: "y".into(),
        kind,
        ..CorrectRecordRequest::default()
    };
    let answer = client
        .clone()
        .editorial
        .correct_record(request)
        .await
        .unwrap_err();
    let answer = RpcError::from(answer);
    assert_eq!(
        answer
            .assert_is(Code::InvalidArgument, "INVALID_RECORD")
            .fields(),
        ["kind"]
    );
}

#[tokio::test]
async fn w8_a_published_record_changes_only_with_a_public_note() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        corrections_are_public(&server, kind).await;
    }
}

#[tokio::test]
async fn w8_drafts_are_not_corrected_or_retracted_and_reviews_are_not_updated() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        let draft = create_drafts(&server.client, &[record_of_kind(kind, "early")])
            .await
            .swap_remove(0);
        for write in [
            correct(&with_text(&draft, "x"), &[], "x"),
            retract(&draft, "x", false),
            send_back(&draft, ""),
            unmerge(&draft),
        ] {
            let answer = commit_err(&server.client, vec![write]).await;
            answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
            assert_eq!(answer.about["state"], "STATE_DRAFT");
        }
        let review = commit_one(&server.client, submit(&draft)).await;
        for write in [
            update(&with_text(&review, "x"), &[]),
            delete(&review),
            restore(&review, 1, ""),
        ] {
            let answer = commit_err(&server.client, vec![write]).await;
            answer.assert_is(Code::FailedPrecondition, "WRONG_STATE");
            assert_eq!(answer.about["state"], "STATE_IN_REVIEW");
        }
        assert_eq!(
            commit_one(&server.client, submit(&review)).await,
            review,
            "twice is once"
        );
        let back = commit_one(&server.client, send_back(&review, "a source is missing")).await;
        let edited = commit_one(&server.client, update(&with_text(&back, "better"), &[])).await;
        assert_eq!((text(&edited), meta(&edited).revision), ("better", 4));
    }
}

#[tokio::test]
async fn w3_an_update_that_changes_nothing_makes_no_revision() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        let draft = create_drafts(&server.client, &[record_of_kind(kind, "idle")])
            .await
            .swap_remove(0);
        let before = feed_heads(&server.url).await;
        let request = UpdateRecordRequest {
            record: Some(draft.clone()),
            ..UpdateRecordRequest::default()
        };
        let answer = server
            .client
            .clone()
            .records
            .update_record(request)
            .await
            .unwrap();
        let answer = answer.into_inner();
        assert_eq!(answer.record.unwrap(), draft);
        assert_eq!(answer.sequence, meta(&draft).sequence);
        assert_eq!(feed_heads(&server.url).await, before);
    }
}
