//! W11: revisions are listed, read, compared and restored; the state at a sequence equals the fold of the feed up to
//! it.

use std::collections::BTreeMap;

use dateline_proto::v1::{
    Change, DiffRevisionsRequest, GetRecordRequest, Kind, ListRevisionsRequest,
    ListRevisionsResponse, Record, RestoreRecordRequest, State, View, change::Type,
};
use tonic::Code;

use crate::support::{
    editing::*,
    gold::citing_published_revision,
    server::TestServer,
    watch::{read_changes, watch_from_beginning},
};

async fn revisions(
    server: &TestServer,
    request: ListRevisionsRequest,
) -> Result<ListRevisionsResponse, RpcError> {
    let answer = server.client.clone().records.list_revisions(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(RpcError::from)
}

fn list(name: &str, view: View) -> ListRevisionsRequest {
    ListRevisionsRequest {
        name: name.to_owned(),
        view: view.into(),
        ..ListRevisionsRequest::default()
    }
}

fn at_revision(name: &str, view: View, revision: i64) -> GetRecordRequest {
    GetRecordRequest {
        revision: Some(revision),
        ..get_request(name, view)
    }
}

fn as_of(name: &str, view: View, sequence: i64) -> GetRecordRequest {
    GetRecordRequest {
        as_of: Some(sequence),
        ..get_request(name, view)
    }
}

async fn diff(
    server: &TestServer,
    name: &str,
    view: View,
    from: i64,
    to: i64,
) -> Result<Vec<(String, String, String)>, RpcError> {
    let request = DiffRevisionsRequest {
        name: name.to_owned(),
        view: view.into(),
        from_revision: from,
        to_revision: to,
    };
    let answer = server.client.clone().records.diff_revisions(request).await;
    let differences = answer
        .map_err(RpcError::from)?
        .into_inner()
        .differences
        .into_iter();
    Ok(differences
        .map(|it| (it.path, it.before_json, it.after_json))
        .collect())
}

/// Five revisions of a record, as the service returned them.
async fn lived(server: &TestServer, kind: Kind) -> Vec<Record> {
    let client = &server.client;
    let first = create_drafts(client, &[record_of_kind(kind, "lived")])
        .await
        .swap_remove(0);
    let second = commit_one(client, update(&with_text(&first, "second"), &[])).await;
    let third = commit_one(client, submit(&second)).await;
    let fourth = commit_one(client, publish(&third)).await;
    let fifth = commit_one(client, correct(&with_text(&fourth, "fifth"), &[], "better")).await;
    vec![first, second, third, fourth, fifth]
}

async fn all_are_listed_and_read(server: &TestServer, told: &[Record]) {
    let (client, first, field) = (&server.client, &told[0], text_field(&told[0]));
    for (revision, told) in (1..).zip(told) {
        let read = get_record(client, at_revision(name(told), View::Desk, revision))
            .await
            .unwrap();
        assert_eq!(read.record.as_ref(), Some(told));
    }
    let listed = revisions(server, list(name(first), View::Desk))
        .await
        .unwrap()
        .revisions;
    let types: Vec<_> = listed
        .iter()
        .map(|it| (it.revision, it.r#type(), it.state()))
        .collect();
    assert_eq!(
        types,
        [
            (5, Type::Corrected, State::Published),
            (4, Type::Published, State::Published),
            (3, Type::Submitted, State::InReview),
            (2, Type::Updated, State::Draft),
            (1, Type::Created, State::Draft),
        ]
    );
    assert_eq!(
        (listed[0].note.as_str(), &listed[0].changed_fields),
        ("better", &vec![field.to_owned()])
    );
    assert!(
        listed
            .iter()
            .all(|it| it.author == "local" && it.time.is_some())
    );
    let sequences: Vec<_> = told
        .iter()
        .rev()
        .map(|record| meta(record).sequence)
        .collect();
    assert_eq!(
        listed.iter().map(|it| it.sequence).collect::<Vec<_>>(),
        sequences
    );
    // Page by page, the result is the same.
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListRevisionsRequest {
            page_size: 2,
            page_token: token,
            ..list(name(first), View::Desk)
        };
        let page = revisions(server, request).await.unwrap();
        assert!(page.revisions.len() <= 2);
        paged.extend(page.revisions);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, listed);
}

/// Readers see published revisions, and no authors.
async fn readers_see_what_was_public(server: &TestServer, told: &[Record]) {
    let (client, name, field) = (&server.client, name(&told[0]), text_field(&told[0]));
    let seen = revisions(server, list(name, View::Published))
        .await
        .unwrap()
        .revisions;
    assert_eq!(
        seen.iter().map(|it| it.revision).collect::<Vec<_>>(),
        [5, 4]
    );
    assert!(seen.iter().all(|it| it.author.is_empty()));
    for hidden in [1, 3, 6] {
        let answer = get_record(client, at_revision(name, View::Published, hidden))
            .await
            .unwrap_err();
        answer.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
        let answer = diff(server, name, View::Published, hidden, 5)
            .await
            .unwrap_err();
        answer.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    }
    let told = diff(server, name, View::Published, 4, 5).await.unwrap();
    assert_eq!(
        told,
        [(
            field.to_owned(),
            "\"second\"".to_owned(),
            "\"fifth\"".to_owned()
        )]
    );
    // Publication moved the pins of its evidence to revisions that readers can read.
    let moved = diff(server, name, View::Desk, 2, 4).await.unwrap();
    let is_pin = |path: &str| path == "evidence[0].article_revision";
    assert!(moved.iter().all(|(path, ..)| is_pin(path)), "{moved:?}");
}

/// A restoration is a new revision with a note for readers.
async fn an_older_one_comes_back(server: &TestServer, told: &[Record]) {
    let (client, second, fifth) = (&server.client, &told[1], &told[4]);
    let answer = commit_err(client, vec![restore(fifth, 2, "")]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert_eq!(answer.fields(), ["writes[0].restore.note"]);
    let answer = commit_err(client, vec![restore(fifth, 9, "back")]).await;
    answer.assert_is(Code::InvalidArgument, "INVALID_RECORD");
    assert!(
        answer.violations[0].1.contains("there are 1 to 5"),
        "{answer:?}"
    );
    let request = RestoreRecordRequest {
        record: Some(version(fifth)),
        revision: 2,
        note: "the old wording was right".into(),
        ..RestoreRecordRequest::default()
    };
    let answer = client
        .clone()
        .editorial
        .restore_record(request)
        .await
        .unwrap()
        .into_inner();
    let restored = answer.record.unwrap();
    assert_eq!(
        without_server_fields(&restored),
        without_server_fields(&citing_published_revision(second))
    );
    assert_eq!(
        (meta(&restored).revision, state(&restored)),
        (6, State::Published)
    );
    let last = meta(&restored).corrections.pop().unwrap();
    assert_eq!(
        (last.note.as_str(), last.changed_fields),
        (
            "the old wording was right",
            vec![text_field(second).to_owned()]
        )
    );
    let seen = find_record(client, name(second), View::Published)
        .await
        .unwrap();
    assert_eq!(
        without_server_fields(&seen),
        without_server_fields(&citing_published_revision(second))
    );
}

#[tokio::test]
async fn w11_every_revision_is_listed_read_compared_and_restored() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        let told = lived(&server, kind).await;
        all_are_listed_and_read(&server, &told).await;
        readers_see_what_was_public(&server, &told).await;
        an_older_one_comes_back(&server, &told).await;
    }
    let answer = revisions(&server, list("actors/nobody", View::Desk))
        .await
        .unwrap_err();
    answer.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
    let both = GetRecordRequest {
        as_of: Some(1),
        ..at_revision(SOURCE, View::Desk, 1)
    };
    let answer = get_record(&server.client, both).await.unwrap_err();
    assert_eq!(
        answer
            .assert_is(Code::InvalidArgument, "INVALID_REQUEST")
            .fields(),
        ["as_of"]
    );
    let ahead = get_record(&server.client, as_of(SOURCE, View::Published, 1000))
        .await
        .unwrap_err();
    assert_eq!(
        ahead
            .assert_is(Code::InvalidArgument, "INVALID_REQUEST")
            .fields(),
        ["as_of"]
    );
}

/// Runs a whole history for a kind.
async fn live(server: &TestServer, kind: Kind) {
    let client = &server.client;
    let drafts = create_drafts(
        client,
        &["a", "b", "c", "d", "e"].map(|id| record_of_kind(kind, id)),
    )
    .await;
    let edited = commit_one(client, update(&with_text(&drafts[0], "x"), &[])).await;
    commit_ok(client, vec![delete(&drafts[1])]).await;
    commit_one(client, purge(&drafts[4], false)).await;
    let public = publish_all(client, &[edited, drafts[2].clone(), drafts[3].clone()]).await;
    let first = commit_one(client, correct(&with_text(&public[0], "y"), &[], "y")).await;
    let first = commit_one(client, restore(&first, 2, "z")).await;
    commit_one(client, retract(&public[1], "no", false)).await;
    if kind != Kind::Article {
        let merged = commit_one(client, merge(&public[2], &first)).await;
        commit_one(client, unmerge(&merged)).await;
    }
}

/// Applies a change to a consumer's replica.
fn fold(copy: &mut BTreeMap<String, Record>, change: &Change) {
    match (change.r#type(), &change.record) {
        (Type::Deleted | Type::Left, _) | (Type::Purged, None) => drop(copy.remove(&change.name)),
        (_, Some(record)) => drop(copy.insert(change.name.clone(), record.clone())),
        (other, None) => panic!("{other:?} without a record"),
    }
}

#[tokio::test]
async fn w11_f1_what_was_at_a_sequence_is_the_fold_of_the_feed_up_to_it() {
    let server = start_server_with_base().await;
    for kind in KINDS {
        live(&server, kind).await;
    }
    let (desk, wire) = feed_heads(&server.url).await;
    for (view, head) in [(View::Desk, desk), (View::Published, wire)] {
        let all = read_changes(
            &server,
            watch_from_beginning(view),
            usize::try_from(head).unwrap(),
        )
        .await;
        let everyone: std::collections::BTreeSet<_> =
            all.iter().map(|it| it.name.clone()).collect();
        let mut copy = BTreeMap::new();
        for change in &all {
            fold(&mut copy, change);
            for name in &everyone {
                let read =
                    match get_record(&server.client, as_of(name, view, change.sequence)).await {
                        Ok(answer) => answer.record,
                        Err(refused) => {
                            refused.assert_is(Code::NotFound, "RECORD_NOT_FOUND");
                            None
                        }
                    };
                assert_eq!(
                    read.as_ref(),
                    copy.get(name),
                    "{name} at {view:?} {}",
                    change.sequence
                );
            }
        }
        for name in &everyone {
            let now = find_record(&server.client, name, view).await;
            assert_eq!(now.as_ref(), copy.get(name), "{name} now, {view:?}");
        }
    }
}
