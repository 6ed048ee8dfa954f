//! W10 and domain rule 9: names that are taken for ever, and records that exist already under another name.

use dateline_proto::v1::{Kind, Record, View, actor::Type, record::Kind as Body};
use tonic::Code;

use crate::support::{editing::*, server::TestServer};

async fn taken(server: &TestServer, record: &Record) {
    let answer = commit_err(&server.client, vec![create(record)]).await;
    answer.assert_is(Code::AlreadyExists, "NAME_TAKEN");
    assert_eq!(answer.about["name"], name(record));
}

async fn a_name_is_never_given_twice(server: &TestServer, kind: Kind) {
    let client = &server.client;
    let deleted = record_of_kind(kind, "deleted");
    let draft = create_drafts(client, std::slice::from_ref(&deleted))
        .await
        .swap_remove(0);
    taken(server, &deleted).await;
    let answer = commit_ok(client, vec![delete(&draft)]).await;
    assert_eq!(find_record(client, name(&deleted), View::Desk).await, None);
    let gone = &answer.records[0];
    assert_eq!(
        (name(gone), text(gone)),
        (name(&deleted), ""),
        "name and meta only"
    );
    assert_eq!(meta(gone).uid, meta(&draft).uid);
    taken(server, &deleted).await;
    for write in [
        update(&draft, &[]),
        publish(&draft),
        delete(gone),
        submit(gone),
        restore(gone, 1, ""),
    ] {
        let answer = commit_err(client, vec![write]).await;
        answer.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    }
    let retracted = record_of_kind(kind, "retracted");
    let public = create_published(client, &retracted).await;
    commit_one(client, retract(&public, "no", false)).await;
    taken(server, &retracted).await;
    assert_eq!(
        meta(
            &find_record(client, name(&retracted), View::Published)
                .await
                .unwrap()
        )
        .uid,
        meta(&public).uid,
        "it answers for ever"
    );
    let purged = record_of_kind(kind, "purged");
    let public = create_published(client, &purged).await;
    commit_one(client, purge(&public, false)).await;
    taken(server, &purged).await;
    let erased = record_of_kind(kind, "erased-draft");
    let draft = create_drafts(client, std::slice::from_ref(&erased))
        .await
        .swap_remove(0);
    commit_one(client, purge(&draft, false)).await;
    taken(server, &erased).await;
    if kind != Kind::Article {
        let merged = record_of_kind(kind, "merged");
        let loser = create_published(client, &merged).await;
        let winner = create_published(client, &record_of_kind(kind, "winner")).await;
        commit_one(client, merge(&loser, &winner)).await;
        taken(server, &merged).await;
        let seen = get_record(client, get_request(name(&merged), View::Published))
            .await
            .unwrap();
        assert_eq!(name(&seen.record.unwrap()), name(&winner));
    }
}

#[tokio::test]
async fn w10_a_name_is_never_given_twice_whatever_became_of_its_record() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        a_name_is_never_given_twice(&server, kind).await;
    }
}

#[tokio::test]
async fn w10_uids_are_never_given_twice_and_never_change() {
    let server = start_server_with_base().await;
    let mut uids = std::collections::HashSet::new();
    for kind in KINDS {
        let draft = create_drafts(&server.client, &[record_of_kind(kind, "one-uid")])
            .await
            .swap_remove(0);
        let mut claimed = record_of_kind(kind, "another-uid");
        if let Some(Body::Actor(actor)) = &mut claimed.kind {
            actor.meta = Some(meta(&draft));
        }
        let other = create_drafts(&server.client, &[claimed])
            .await
            .swap_remove(0);
        for record in [&draft, &other] {
            assert!(uids.insert(meta(record).uid), "{}", meta(record).uid);
        }
        let public = publish_all(&server.client, std::slice::from_ref(&draft))
            .await
            .swap_remove(0);
        let gone = commit_one(&server.client, retract(&public, "no", false)).await;
        assert_eq!(meta(&gone).uid, meta(&draft).uid);
    }
}

#[tokio::test]
async fn the_same_original_is_taken_in_once_and_again_when_its_draft_is_gone() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let draft = commit_one(client, create_from(&article("first"), "as received")).await;
    let again = create_from(&article("second"), "as received");
    let answer = commit_err(client, vec![again.clone()]).await;
    answer.assert_is(Code::AlreadyExists, "DUPLICATE_ORIGINAL");
    assert_eq!(answer.about["name"], "articles/first");
    commit_one(
        client,
        create_from(&article("other"), "as received, but not the same"),
    )
    .await;
    // Edits keep the hash that detects the duplicate.
    let draft = commit_one(client, update(&with_text(&draft, "x"), &["summary"])).await;
    let draft = commit_one(client, update(&with_text(&draft, "y"), &[])).await;
    let draft = commit_one(client, restore(&draft, 1, "")).await;
    let answer = commit_err(client, vec![again.clone()]).await;
    answer.assert_is(Code::AlreadyExists, "DUPLICATE_ORIGINAL");
    commit_ok(client, vec![delete(&draft)]).await;
    let second = commit_one(client, again).await;
    let public = publish_all(client, &[second]).await.swap_remove(0);
    commit_one(client, retract(&public, "no", false)).await;
    let third = create_from(&article("third"), "as received");
    let answer = commit_err(client, vec![third]).await;
    answer.assert_is(Code::AlreadyExists, "DUPLICATE_ORIGINAL");
    assert_eq!(answer.about["name"], "articles/second");
}

#[tokio::test]
async fn the_same_original_twice_in_one_request_is_refused_as_such() {
    let server = start_server_with_base().await;
    let writes = ["one-text", "same-text"].map(|id| create_from(&article(id), "received"));
    let answer = commit_err(&server.client, writes.to_vec()).await;
    answer.assert_is(Code::AlreadyExists, "DUPLICATE_ORIGINAL");
    assert_eq!(answer.about["name"], "articles/one-text");
    assert_eq!(feed_heads(&server.url).await, (6, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_original_at_two_servers_at_once_is_one_article() {
    let servers = start_two_servers_with_base().await;
    for round in 0..20 {
        let original = format!("received {round}");
        let all = (0..4).map(|n| {
            let write = create_from(&article(&format!("r{round}-{n}")), &original);
            try_commit(&servers[n % 2].client, commit_request(vec![write]))
        });
        let answers = futures_util::future::join_all(all).await;
        let taken: Vec<_> = answers.iter().filter_map(|it| it.as_ref().ok()).collect();
        let [only] = taken.as_slice() else {
            panic!("{} were taken in", taken.len())
        };
        for refused in answers.iter().filter_map(|it| it.as_ref().err()) {
            refused.assert_is(Code::AlreadyExists, "DUPLICATE_ORIGINAL");
            assert_eq!(refused.about["name"], name(&only.records[0]));
        }
    }
}

fn called(id: &str, text: &str, r#type: Type) -> Record {
    let mut record = actor(id);
    let inner = as_actor(&mut record);
    inner.display_name = text.to_owned();
    inner.names[0].text = text.to_owned();
    inner.r#type = r#type.into();
    record
}

#[tokio::test]
async fn a_name_that_reads_the_same_is_warned_of_and_stored() {
    let server = start_server_with_base().await;
    let first = called("nato", "NATO Council", Type::Organization);
    create_drafts(&server.client, &[first]).await;
    let similar = [
        ("upper", "nato COUNCIL", Type::Organization, true),
        ("spaced", "Nato   Council ", Type::Organization, true),
        ("joined", "NATOCouncil", Type::Organization, true),
        // А and О, С and о are Cyrillic.
        ("cyrillic", "NАTО Соuncil", Type::Organization, true),
        ("military", "NATO Council", Type::Military, false),
        ("other", "NATO Counsel", Type::Organization, false),
    ];
    for (id, text, r#type, warned) in similar {
        let answer = commit_ok(&server.client, vec![create(&called(id, text, r#type))]).await;
        let found: Vec<_> = answer
            .warnings
            .iter()
            .map(|it| it.reason.as_str())
            // Matching follows the log, and may know them already.
            .filter(|reason| *reason != "POSSIBLE_DUPLICATE")
            .collect();
        if warned {
            assert_eq!(found, ["SIMILAR_RECORD"], "{id}");
            let similar = answer.warnings.iter().find(|it| it.reason == found[0]);
            let similar = similar.unwrap();
            let records = &similar.records;
            assert!(
                records.contains(&"actors/nato".to_owned()),
                "{id}: {records:?}"
            );
            assert_eq!(similar.field, "writes[0].create.record.actor");
        } else {
            assert!(found.is_empty(), "{id}: {:?}", answer.warnings);
        }
        assert_eq!(names(&answer.records), [format!("actors/{id}")]);
        commit_ok(&server.client, vec![delete(&answer.records[0])]).await;
    }
}

#[tokio::test]
async fn look_alikes_of_one_request_and_by_an_edit_are_warned_of_too() {
    let server = start_server_with_base().await;
    let twins = ["left", "right"].map(|id| called(id, "The Twins", Type::Group));
    let answer = commit_ok(&server.client, twins.iter().map(create).collect()).await;
    let pairs: Vec<_> = answer
        .warnings
        .iter()
        .map(|it| (it.field.as_str(), it.records.clone()))
        .collect();
    assert_eq!(
        pairs,
        [
            (
                "writes[0].create.record.actor",
                vec!["actors/right".to_owned()]
            ),
            (
                "writes[1].create.record.actor",
                vec!["actors/left".to_owned()]
            ),
        ]
    );
    let plain = create_drafts(&server.client, &[called("third", "Somebody", Type::Group)]).await;
    let mut renamed = plain[0].clone();
    as_actor(&mut renamed).display_name = "the twins".into();
    let request = dateline_proto::v1::UpdateRecordRequest {
        record: Some(renamed),
        update_mask: field_mask(&["display_name"]),
        ..Default::default()
    };
    let answer = server
        .client
        .clone()
        .records
        .update_record(request)
        .await
        .unwrap()
        .into_inner();
    let similar = answer
        .warnings
        .iter()
        .find(|it| it.reason == "SIMILAR_RECORD");
    let similar = similar.expect("a warning");
    assert_eq!(similar.field, "record.actor");
    assert_eq!(similar.records, ["actors/left", "actors/right"]);
}

#[tokio::test]
async fn an_edit_that_sends_one_field_is_compared_by_the_whole_record() {
    let server = start_server_with_base().await;
    create_drafts(&server.client, &[called("twin", "The Twins", Type::Group)]).await;
    let other = called("other-twin", "The Twins", Type::Military);
    let mut edited = create_drafts(&server.client, &[other]).await.remove(0);
    as_actor(&mut edited).r#type = Type::Group.into();
    as_actor(&mut edited).display_name.clear();
    as_actor(&mut edited).names.clear();
    let answer = commit_ok(&server.client, vec![update(&edited, &["type"])]).await;
    assert_eq!(answer.warnings[0].reason, "SIMILAR_RECORD");
    assert_eq!(answer.warnings[0].records, ["actors/twin"]);
}
