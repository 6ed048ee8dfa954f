//! Bounds of requests, and waits for a sequence.

use dateline_proto::v1::{
    ActorExample, FindDuplicatesRequest, GetHealthRequest, MatchActorsRequest,
    SuggestMentionsRequest, View, actor::Type,
};
use sqlx::{Connection, Executor, PgConnection};
use tonic::Code;

use crate::support::{editing::*, matching::*, projections::*};

#[tokio::test]
async fn bad_requests_say_which_field_is_wrong() {
    let server = start_server_with_base().await;
    let mut matching = server.client.clone().matching;
    let good = example("Serik Sapiyev");
    let of = |examples: Vec<ActorExample>| MatchActorsRequest {
        examples,
        ..MatchActorsRequest::default()
    };
    let many_names = ActorExample {
        names: vec![a_name("x"); 21],
        ..ActorExample::default()
    };
    let long_name = example(&"x".repeat(301));
    let mut abroad = good.clone();
    abroad.region_code = "Kazakhstan".into();
    for (request, field) in [
        (of(vec![]), "examples"),
        (of(vec![good.clone(); 21]), "examples"),
        (
            of(vec![good.clone(), ActorExample::default()]),
            "examples[1].names",
        ),
        (of(vec![many_names]), "examples[0].names"),
        (of(vec![long_name]), "examples[0].names[0].text"),
        (of(vec![abroad]), "examples[0].region_code"),
        (
            MatchActorsRequest {
                min_score: Some(1.5),
                ..of(vec![good.clone()])
            },
            "min_score",
        ),
        (
            MatchActorsRequest {
                min_score: Some(f64::NAN),
                ..of(vec![good.clone()])
            },
            "min_score",
        ),
    ] {
        let refused = RpcError::from(matching.match_actors(request).await.unwrap_err());
        refused.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(refused.fields(), [field]);
    }
    for text in [String::new(), "x".repeat(200_001)] {
        let request = SuggestMentionsRequest {
            text,
            ..SuggestMentionsRequest::default()
        };
        let refused = RpcError::from(matching.suggest_mentions(request).await.unwrap_err());
        refused.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(refused.fields(), ["text"]);
    }
    let forged = FindDuplicatesRequest {
        page_token: "AAAA".into(),
        ..FindDuplicatesRequest::default()
    };
    let refused = RpcError::from(matching.find_duplicates(forged).await.unwrap_err());
    refused.assert_is(Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    server.stop().await;
}

#[tokio::test]
async fn w7_min_sequence_waits_for_the_keys_in_both_views() {
    let server = start_server_with_base().await;
    let client = &server.client;
    wait_projected(&server.url).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    hold_projections(&mut sql).await;
    let record = actor_of("late", Type::Person, &["Serik Sapiyev"]);
    create_published(client, &record).await;
    for view in [View::Published, View::Desk] {
        let mut request = tonic::Request::new(MatchActorsRequest {
            examples: vec![example("Serik Sapiyev")],
            view: view.into(),
            min_sequence: head(client, view).await,
            ..MatchActorsRequest::default()
        });
        request.set_timeout(std::time::Duration::from_millis(400));
        let refused = client
            .clone()
            .matching
            .match_actors(request)
            .await
            .unwrap_err();
        RpcError::from(refused).assert_is(Code::Unavailable, "STORE_UNAVAILABLE");
    }
    release_projections(&mut sql).await;
    for view in [View::Published, View::Desk] {
        assert_eq!(
            matched(client, "Serik Sapiyev", view).await,
            ["actors/late"]
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_rare_name_is_found_among_more_namesakes_than_are_compared() {
    let server = start_server_with_base().await;
    let mut drafts = Vec::new();
    for number in 0..700 {
        let name = format!("Ivan Petrov {number}");
        drafts.push(actor_of(
            &format!("ivan-{number}"),
            Type::Organization,
            &[&name],
        ));
    }
    let rare = actor_of("rare", Type::Organization, &["Ivan Petrov Zuckerkandl"]);
    drafts.push(rare);
    for drafts in drafts.chunks(200) {
        create_drafts(&server.client, drafts).await;
    }
    let found = matches(
        &server.client,
        example("Petrov Ivan Zuckerkandl"),
        View::Desk,
    )
    .await;
    assert_eq!(records(&found.candidates)[0], "actors/rare");
    assert!(found.truncated && found.candidates.len() <= 5);
    server.stop().await;
}

#[tokio::test]
async fn keys_that_stay_behind_are_a_fault_of_matching_alone() {
    let server = start_server_with_base().await;
    wait_projected(&server.url).await;
    let mut sql = PgConnection::connect(&server.url).await.unwrap();
    hold_projections(&mut sql).await;
    create_drafts(&server.client, &[actor("late")]).await;
    sql.execute("UPDATE changes SET accepted_at = accepted_at - interval '2 minutes'")
        .await
        .unwrap();
    let mut admin = server.client.clone().admin;
    let mut parts = async || {
        let health = admin.get_health(GetHealthRequest {}).await.unwrap();
        let problems = health.into_inner().problems.into_iter();
        problems.map(|it| it.part).collect::<Vec<_>>()
    };
    wait_until("the lag is reported", async || {
        let parts = parts().await;
        // Search follows the log in the same way.
        parts.contains(&"matching".to_owned())
            && parts
                .iter()
                .all(|part| part == "matching" || part == "search")
    })
    .await;
    // Nothing else is said to be wrong: writes go on.
    create_drafts(&server.client, &[actor("later")]).await;
    release_projections(&mut sql).await;
    wait_until("it is sound again", async || parts().await.is_empty()).await;
    server.stop().await;
}
