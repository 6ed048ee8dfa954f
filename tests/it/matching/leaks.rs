//! Nothing of a record reaches a caller who may not read it, and every change counts at once.

use dateline_proto::v1::{FindDuplicatesRequest, Record, View, actor::Type};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::{
    callers::{client_with_token, create_token_with, start_access_servers_with},
    editing::*,
    matching::*,
    projections::*,
    records::as_actor,
};

/// Pairs that are found in a view, as the names of both records.
async fn pairs(client: &dateline_client::Client, view: View) -> Vec<(String, String)> {
    let request = FindDuplicatesRequest {
        view: view.into(),
        ..FindDuplicatesRequest::default()
    };
    let found = client.clone().matching.find_duplicates(request).await;
    let pairs = found.unwrap().into_inner().pairs.into_iter();
    pairs
        .map(|pair| (pair.record, pair.candidate.unwrap().record))
        .collect()
}

fn person(id: &str, name: &str) -> Record {
    actor_of(id, Type::Person, &[name])
}

#[tokio::test]
async fn m2_f10_a_name_under_embargo_is_in_no_answer_before_its_time_and_in_all_right_after() {
    let server = start_server_with_base().await;
    let client = &server.client;
    create_published(client, &person("known", "Serik Sapiyev")).await;
    let draft = create_drafts(client, &[person("secret", "Серик Сапиев")])
        .await
        .swap_remove(0);
    wait_projected(&server.url).await;
    // From here on nothing is projected: publication needs no step of the keys.
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    hold_projections(&mut sql).await;
    let text = "Вчера Серик Сапиев выступил.";
    let hidden = async || {
        assert_eq!(
            matched(client, "Серик Сапиев", View::Published).await,
            ["actors/known"]
        );
        assert_eq!(mentioned(client, text, View::Published).await, []);
        assert_eq!(pairs(client, View::Published).await, []);
        let desk = matched_now(client, "Серик Сапиев", View::Desk).await;
        assert_eq!(desk.len(), 2, "{desk:?}");
        assert_eq!(mentioned(client, text, View::Desk).await.len(), 1);
        assert_eq!(pairs(client, View::Desk).await.len(), 1);
    };
    hidden().await;
    let embargoed = commit_one(
        client,
        publish_at(&draft, Some(timestamp_in_ms(86_400_000))),
    )
    .await;
    hidden().await;
    // Its time comes now.
    let soon = commit_one(client, send_back(&embargoed, "now")).await;
    commit_one(client, publish_at(&soon, Some(timestamp_in_ms(300)))).await;
    wait_until("it is published", async || {
        find_record(client, "actors/secret", View::Published)
            .await
            .is_some()
    })
    .await;
    let found = matched_now(client, "Серик Сапиев", View::Published).await;
    assert_eq!(found.len(), 2, "{found:?}");
    let of = vec!["actors/secret".to_owned()];
    assert_eq!(
        mentioned(client, text, View::Published).await,
        [("Серик Сапиев".to_owned(), of)]
    );
    assert_eq!(pairs(client, View::Published).await.len(), 1);
    server.stop().await;
}

/// The records that may be this one, without waiting for keys.
async fn matched_now(client: &dateline_client::Client, text: &str, view: View) -> Vec<String> {
    let request = dateline_proto::v1::MatchActorsRequest {
        examples: vec![example(text)],
        view: view.into(),
        ..dateline_proto::v1::MatchActorsRequest::default()
    };
    let answer = client.clone().matching.match_actors(request).await;
    records(&answer.unwrap().into_inner().matches[0].candidates)
}

#[tokio::test]
async fn m2_f10_a_longer_name_that_is_hidden_hides_no_shorter_one() {
    let server = start_server_with_base().await;
    let client = &server.client;
    let body = |id, name| actor_of(id, Type::Organization, &[name]);
    create_published(client, &body("short", "Port Authority")).await;
    create_drafts(client, &[body("long", "Port Authority of Aktau")]).await;
    let text = "The Port Authority of Aktau said";
    let seen = mentioned(client, text, View::Published).await;
    assert_eq!(
        seen,
        [("Port Authority".to_owned(), vec!["actors/short".to_owned()])]
    );
    let seen = mentioned(client, text, View::Desk).await;
    let long = "Port Authority of Aktau".to_owned();
    assert_eq!(seen, [(long, vec!["actors/long".to_owned()])]);
    server.stop().await;
}

#[tokio::test]
async fn m2_f10_a_scope_narrows_candidates_pairs_and_mentions() {
    let two = start_access_servers_with(|_| {}).await;
    let admin = &two.open.client;
    create_base(admin).await;
    let mut abroad = actor_of("abroad", Type::Organization, &["Port Authority of Aktau"]);
    as_actor(&mut abroad).region_code = "KZ".into();
    let mut home = actor_of("home", Type::Organization, &["Port Authority"]);
    as_actor(&mut home).region_code = "GE".into();
    create_published(admin, &abroad).await;
    create_published(admin, &home).await;
    wait_projected(&two.url).await;
    let roles = &[dateline_proto::v1::Role::Reader];
    for (scope, expected) in [("region:GE", Some("actors/home")), ("kind:event", None)] {
        let (_, secret) = create_token_with(admin, roles, &[scope]).await;
        let reader = client_with_token(&two.closed.address, &secret).await;
        let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        for name in ["Port Authority of Aktau", "Port Authority"] {
            let found = matched_now(&reader, name, View::Published).await;
            assert!(
                found.iter().all(|it| expected.contains(it)),
                "{scope}: {found:?}"
            );
        }
        let found = matched_now(&reader, "Port Authority", View::Published).await;
        assert_eq!(found, expected, "{scope}");
        let found = mentioned(&reader, "the Port Authority of Aktau", View::Published).await;
        let records: Vec<String> = found.into_iter().flat_map(|(_, records)| records).collect();
        assert_eq!(records, expected, "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn m3_every_change_of_a_name_counts_at_once_at_every_server() {
    let [one, two] = start_two_servers_with_base().await;
    let name = |text: &'static str| {
        let mut record = person("changing", "Serik Sapiyev");
        *as_actor(&mut record) = as_actor(&mut actor_of("changing", Type::Person, &[text])).clone();
        record
    };
    let text = "Serik Sapiyev met Olga Rypakova.";
    let found = async |view| {
        let found = mentioned(&two.client, text, view).await;
        found.into_iter().map(|(text, _)| text).collect::<Vec<_>>()
    };
    let draft = create_drafts(&one.client, &[name("Serik Sapiyev")])
        .await
        .swap_remove(0);
    assert_eq!(found(View::Desk).await, ["Serik Sapiyev"]);
    assert_eq!(found(View::Published).await, Vec::<String>::new());
    let public = publish_all(&one.client, &[draft]).await.swap_remove(0);
    assert_eq!(found(View::Published).await, ["Serik Sapiyev"]);
    let mut other = public.clone();
    as_actor(&mut other).names = vec![a_name("Olga Rypakova")];
    as_actor(&mut other).display_name = "Olga Rypakova".into();
    let corrected = commit_one(&one.client, correct(&other, &[], "another person")).await;
    assert_eq!(found(View::Published).await, ["Olga Rypakova"]);
    commit_one(&one.client, retract(&corrected, "all wrong", false)).await;
    assert_eq!(found(View::Published).await, Vec::<String>::new());
    assert_eq!(found(View::Desk).await, Vec::<String>::new());
    let after = matched(&two.client, "Olga Rypakova", View::Desk).await;
    assert_eq!(after, Vec::<String>::new());
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn m2_w11_an_erased_name_is_in_no_key_candidate_or_mention_at_once() {
    let [one, two] = start_two_servers_with_base().await;
    let client = &one.client;
    let public = create_published(client, &person("erased", "Serik Sapiyev")).await;
    let draft = create_drafts(client, &[person("erased-draft", "Serik Sapiyev")]).await;
    wait_projected(&one.url).await;
    let text = "Serik Sapiyev";
    assert_eq!(mentioned(&two.client, text, View::Desk).await[0].1.len(), 2);
    let mut sql = PgConnection::connect(&one.url).await.unwrap();
    hold_projections(&mut sql).await;
    for record in [&public, &draft[0]] {
        commit_one(client, purge(record, false)).await;
        let keys = "SELECT count(*) FROM actor_keys WHERE name = $1";
        let rows: i64 = sqlx::query_scalar(keys)
            .bind(name(record))
            .fetch_one(&mut sql)
            .await
            .unwrap();
        assert_eq!(rows, 0);
        for view in [View::Published, View::Desk] {
            for server in [&one, &two] {
                let found = matched_now(&server.client, text, view).await;
                assert!(found.iter().all(|it| it != name(record)), "{found:?}");
                let found = mentioned(&server.client, text, view).await;
                assert!(
                    !found
                        .iter()
                        .any(|it| it.1.iter().any(|it| it == name(record))),
                    "{found:?}"
                );
            }
        }
    }
    assert_eq!(mentioned(&two.client, text, View::Desk).await, []);
    // A step that had read the draft before it was erased, and comes late.
    let old = meta(&draft[0]).sequence;
    let late = format!(
        "UPDATE projections SET position = {old} - 1 WHERE name = 'actor_keys';
         SELECT project_actor_keys(version, epoch, position, {old}, ARRAY['actors/erased-draft'],
             ARRAY[{old}::bigint], ARRAY['{{1,2}}'])
         FROM projections WHERE name = 'actor_keys'"
    );
    sql.execute(sqlx::AssertSqlSafe(late)).await.unwrap();
    let (position, keys): (i64, i64) = sqlx::query_as(
        "SELECT position, (SELECT count(*) FROM actor_keys WHERE name = 'actors/erased-draft')
         FROM projections WHERE name = 'actor_keys'",
    )
    .fetch_one(&mut sql)
    .await
    .unwrap();
    assert_eq!((position, keys), (old, 0));
    one.stop().await;
    two.stop().await;
}
