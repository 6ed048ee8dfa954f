//! API tokens: their visible and secret parts, and the forms that are refused.

use dateline_proto::v1::{
    CommitRequest, CreateTokenRequest, GetFeedRequest, ListTokensRequest, RevokeTokenRequest, Role,
    Token, UpdateTokenRequest,
};
use tonic::{Code, metadata::MetadataValue};

use crate::support::{
    builders::{commit_request, create},
    callers::{
        client_with_roles, client_with_token, create_token_until, create_token_with, in_an_hour,
        start_access_servers,
    },
    editing::{RpcError, create_base, dump_tables, timestamp_in_ms, try_commit, wait_until},
    records::actor,
    server::{TestServer, start_server},
};

#[tokio::test]
async fn a_secret_is_told_once_and_kept_nowhere() {
    let server = start_server().await;
    let (token, secret) = create_token_with(&server.client, &[Role::Reader], &["lang:en"]).await;
    assert_eq!(secret.split('_').nth(1).unwrap(), token.id);
    assert!(token.name.starts_with("tester-"), "{token:?}");
    assert_eq!(token.created_by, "local");
    let mut admin = server.client.admin.clone();
    let listed = admin
        .list_tokens(ListTokensRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.into_inner().tokens, std::slice::from_ref(&token));
    let only = &secret["dateline_12345678_".len()..];
    for (table, rows) in dump_tables(&server.url).await {
        assert!(!rows.contains(only), "the secret is in {table}");
    }
}

#[tokio::test]
async fn a_token_lets_in_whom_it_was_made_for_and_says_when_it_was_used() {
    let two = start_access_servers().await;
    let (token, secret) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let mut reader = client_with_token(&two.closed.address, &secret).await;
    reader
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap();
    let mut admin = two.open.client.admin.clone();
    wait_until("it is written down that the token was used", async || {
        let listed = admin
            .list_tokens(ListTokensRequest::default())
            .await
            .unwrap();
        let tokens = listed.into_inner().tokens;
        tokens
            .iter()
            .any(|it| it.id == token.id && it.last_use_time.is_some())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_token_is_nobody_whatever_it_looks_like() {
    let two = start_access_servers().await;
    let (_, good) = create_token_with(&two.open.client, &[Role::Admin], &[]).await;
    let other_bit = {
        let mut bytes = good.clone().into_bytes();
        let last = bytes.len() - 2;
        bytes[last] = if bytes[last] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let long = "a".repeat(8 * 1024);
    let values = [
        String::new(),
        "Bearer".into(),
        "Bearer ".into(),
        format!("Basic {good}"),
        good.clone(),
        format!("Bearer {other_bit}"),
        format!("Bearer {good}x"),
        format!("Bearer  {good}"),
        format!("Bearer {long}"),
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".into(),
    ];
    let client = dateline_client::Client::connect(&two.closed.address)
        .await
        .unwrap();
    for value in values {
        let mut request = tonic::Request::new(GetFeedRequest::default());
        let header = MetadataValue::try_from(value.as_str()).unwrap();
        request.metadata_mut().insert("authorization", header);
        let status = client.clone().feed.get_feed(request).await.unwrap_err();
        let refused = RpcError::from(status);
        refused.assert_is(Code::Unauthenticated, "TOKEN_INVALID");
        assert!(!refused.message.contains(&good[20..]), "{refused:?}");
    }
    // Two valid tokens are refused, and so is a header that is not text.
    let mut request = tonic::Request::new(GetFeedRequest::default());
    let header = MetadataValue::try_from(format!("Bearer {good}")).unwrap();
    request
        .metadata_mut()
        .append("authorization", header.clone());
    request.metadata_mut().append("authorization", header);
    let status = client.clone().feed.get_feed(request).await.unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_INVALID");
    // An open server does not accept an invalid token as an anonymous caller.
    let open = dateline_client::Client::connect(&two.open.address)
        .await
        .unwrap();
    let mut request = tonic::Request::new(GetFeedRequest::default());
    let header = MetadataValue::try_from(format!("Bearer {other_bit}")).unwrap();
    request.metadata_mut().insert("authorization", header);
    let status = open.clone().feed.get_feed(request).await.unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_INVALID");
}

#[tokio::test]
async fn guesses_come_slowly() {
    let two = start_access_servers().await;
    let guess = "dateline_aaaaaaaa_0123456789012345678901234567890123456789012";
    let guesser = client_with_token(&two.closed.address, guess).await;
    let mut refusals = Vec::new();
    for _ in 0..300 {
        let answer = guesser
            .clone()
            .feed
            .get_feed(GetFeedRequest::default())
            .await;
        refusals.push(RpcError::from(answer.unwrap_err()).reason);
    }
    assert!(
        refusals.iter().any(|reason| reason == "RATE_LIMITED"),
        "300 guesses in a row"
    );
    // A known caller is not locked out when somebody guesses from the same address.
    let (_, good) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let mut reader = client_with_token(&two.closed.address, &good).await;
    wait_until("the one who is known is let in", async || {
        reader
            .feed
            .get_feed(GetFeedRequest::default())
            .await
            .is_ok()
    })
    .await;
    for _ in 0..50 {
        let _ = guesser
            .clone()
            .feed
            .get_feed(GetFeedRequest::default())
            .await;
        reader
            .feed
            .get_feed(GetFeedRequest::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn an_expired_token_says_so_to_who_has_it_and_to_nobody_else() {
    let two = start_access_servers().await;
    let (_, secret) = create_token_until(
        &two.open.client,
        &[Role::Reader],
        &[],
        timestamp_in_ms(1500),
    )
    .await;
    let reader = client_with_token(&two.closed.address, &secret).await;
    wait_until("the token has expired", async || {
        match reader
            .clone()
            .feed
            .get_feed(GetFeedRequest::default())
            .await
        {
            Ok(_) => false,
            Err(status) => {
                RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_EXPIRED");
                true
            }
        }
    })
    .await;
    let forged = format!(
        "{}0123456789012345678901234567890123456789012",
        &secret[.."dateline_12345678_".len()]
    );
    let forger = client_with_token(&two.closed.address, &forged).await;
    let status = forger
        .clone()
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_INVALID");
}

#[tokio::test]
async fn what_a_token_may_not_be_is_refused_with_the_field() {
    let server = start_server().await;
    let good = CreateTokenRequest {
        name: "reader-1".into(),
        roles: vec![Role::Reader.into()],
        scope: Vec::new(),
        expire_time: Some(in_an_hour()),
    };
    let with = |change: &dyn Fn(&mut CreateTokenRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        (with(&|it| it.name = "local:me".into()), "name"),
        (with(&|it| it.name = String::new()), "name"),
        (with(&|it| it.roles.clear()), "roles"),
        (with(&|it| it.roles = vec![0]), "roles[0]"),
        (with(&|it| it.roles = vec![99]), "roles[0]"),
        (with(&|it| it.expire_time = None), "expire_time"),
        (
            with(&|it| it.expire_time = Some(timestamp_in_ms(-1000))),
            "expire_time",
        ),
        (
            with(&|it| it.expire_time = Some(timestamp_in_ms(400 * 86_400_000))),
            "expire_time",
        ),
        (with(&|it| it.scope = vec!["events".into()]), "scope"),
        (with(&|it| it.scope = vec!["state:draft".into()]), "scope"),
        (
            with(&|it| {
                it.roles = vec![Role::Editor.into()];
                it.scope = vec!["lang:en".into()];
            }),
            "scope",
        ),
        (
            with(&|it| {
                it.roles = vec![Role::Admin.into()];
                it.scope = vec!["kind:event".into()];
            }),
            "scope",
        ),
    ];
    for (request, field) in cases {
        let told = format!("{request:?}");
        let status = server
            .client
            .clone()
            .admin
            .create_token(request)
            .await
            .unwrap_err();
        let refused = RpcError::from(status);
        refused.assert_is(Code::InvalidArgument, "INVALID_REQUEST");
        assert_eq!(refused.fields(), [field], "{told}");
    }
    server
        .client
        .clone()
        .admin
        .create_token(good)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_last_admin_stays() {
    let server = start_server().await;
    let mut admin = server.client.admin.clone();
    let (first, _) = create_token_with(&server.client, &[Role::Admin], &[]).await;
    let revoke = |id: &str| RevokeTokenRequest { id: id.to_owned() };
    let demote = UpdateTokenRequest {
        id: first.id.clone(),
        roles: vec![Role::Reader.into()],
        ..UpdateTokenRequest::default()
    };
    let status = admin.revoke_token(revoke(&first.id)).await.unwrap_err();
    RpcError::from(status).assert_is(Code::FailedPrecondition, "LAST_ADMIN");
    let status = admin.update_token(demote.clone()).await.unwrap_err();
    RpcError::from(status).assert_is(Code::FailedPrecondition, "LAST_ADMIN");
    let (second, _) = create_token_with(&server.client, &[Role::Admin], &[]).await;
    admin.update_token(demote).await.unwrap();
    let status = admin.revoke_token(revoke(&second.id)).await.unwrap_err();
    RpcError::from(status).assert_is(Code::FailedPrecondition, "LAST_ADMIN");
    // Revoked for good: the token cannot be changed any more, and revoking it again changes nothing.
    let ended = admin
        .revoke_token(revoke(&first.id))
        .await
        .unwrap()
        .into_inner()
        .token
        .unwrap();
    let again = admin
        .revoke_token(revoke(&first.id))
        .await
        .unwrap()
        .into_inner()
        .token
        .unwrap();
    assert_eq!(ended.revoke_time, again.revoke_time);
    let update = UpdateTokenRequest {
        id: first.id.clone(),
        roles: vec![Role::Admin.into()],
        ..UpdateTokenRequest::default()
    };
    let status = admin.update_token(update).await.unwrap_err();
    RpcError::from(status).assert_is(Code::NotFound, "TOKEN_NOT_FOUND");
    let left = admin
        .list_tokens(ListTokensRequest::default())
        .await
        .unwrap()
        .into_inner()
        .tokens;
    assert_eq!(left.len(), 1);
    let all = admin
        .list_tokens(ListTokensRequest {
            show_ended: true,
            ..ListTokensRequest::default()
        })
        .await
        .unwrap();
    assert_eq!(all.into_inner().tokens.len(), 2);
}

#[tokio::test]
async fn r7_a_request_id_is_of_one_identity_and_independent_of_others() {
    let two = start_access_servers().await;
    create_base(&two.open.client).await;
    let publisher = client_with_roles(&two, &[Role::Publisher], &[]).await;
    let id = uuid::Uuid::now_v7().to_string();
    let with_id = |record| CommitRequest {
        request_id: id.clone(),
        ..commit_request(vec![create(&record)])
    };
    let one = try_commit(&two.open.client, with_id(actor("of-one")))
        .await
        .unwrap();
    let other = try_commit(&publisher, with_id(actor("of-another")))
        .await
        .unwrap();
    assert_ne!(one.sequence, other.sequence);
    let reused = try_commit(&publisher, with_id(actor("of-one")))
        .await
        .unwrap_err();
    reused.assert_is(Code::InvalidArgument, "REQUEST_ID_REUSED");
}

/// Creates a token with a name and a lifetime in milliseconds.
async fn named(
    server: &TestServer,
    name: &str,
    roles: &[Role],
    ms: i64,
) -> Result<Token, RpcError> {
    let request = CreateTokenRequest {
        name: name.into(),
        roles: roles.iter().map(|role| i32::from(*role)).collect(),
        scope: Vec::new(),
        expire_time: Some(timestamp_in_ms(ms)),
    };
    let answer = server.client.clone().admin.create_token(request).await;
    let answer = answer.map_err(RpcError::from)?;
    Ok(answer.into_inner().token.unwrap())
}

async fn changed(
    server: &TestServer,
    id: &str,
    roles: &[Role],
    ms: Option<i64>,
) -> Result<(), RpcError> {
    let request = UpdateTokenRequest {
        id: id.into(),
        roles: roles.iter().map(|role| i32::from(*role)).collect(),
        scope: Vec::new(),
        expire_time: ms.map(timestamp_in_ms),
    };
    let answer = server.client.clone().admin.update_token(request).await;
    answer.map(drop).map_err(RpcError::from)
}

async fn revoked(server: &TestServer, id: &str) -> Result<(), RpcError> {
    let request = RevokeTokenRequest { id: id.into() };
    let answer = server.client.clone().admin.revoke_token(request).await;
    answer.map(drop).map_err(RpcError::from)
}

const HOUR: i64 = 3_600_000;

#[tokio::test]
async fn p5_the_last_admin_does_not_end_by_any_way() {
    let server = start_server().await;
    let admin = [Role::Admin];
    let first = named(&server, "first", &admin, HOUR).await.unwrap().id;
    let is_last = |outcome: Result<(), RpcError>| {
        outcome
            .unwrap_err()
            .assert_is(Code::FailedPrecondition, "LAST_ADMIN");
    };
    is_last(revoked(&server, &first).await);
    is_last(changed(&server, &first, &[Role::Reader], None).await);
    is_last(changed(&server, &first, &admin, Some(1000)).await);
    is_last(changed(&server, &first, &admin, Some(HOUR / 2)).await);
    is_last(changed(&server, &first, &[Role::Reader], Some(2 * HOUR)).await);
    changed(&server, &first, &admin, Some(2 * HOUR))
        .await
        .unwrap();
    changed(&server, &first, &admin, None).await.unwrap();
    // An admin token that expires soon does not count as a remaining admin.
    let brief = named(&server, "brief", &admin, 60_000).await.unwrap().id;
    is_last(revoked(&server, &first).await);
    is_last(changed(&server, &first, &admin, Some(1000)).await);
    is_last(changed(&server, &first, &[Role::Editor], None).await);
    revoked(&server, &brief).await.unwrap();
    // With another admin token it may be revoked; if two are revoked at once, one stays.
    let second = named(&server, "second", &admin, HOUR).await.unwrap().id;
    changed(&server, &first, &admin, Some(HOUR / 2))
        .await
        .unwrap();
    let both = tokio::join!(revoked(&server, &first), revoked(&server, &second));
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}

#[tokio::test]
async fn p5_of_tokens_that_hold_each_has_a_name_of_its_own() {
    let server = start_server().await;
    let reader = [Role::Reader];
    let wires = (0..8).map(|_| named(&server, "wire", &reader, HOUR));
    let made = futures_util::future::join_all(wires).await;
    let (made, refused): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    for refused in refused {
        let refused = refused.unwrap_err();
        refused.assert_is(Code::AlreadyExists, "NAME_TAKEN");
        assert!(refused.message.contains("wire"), "{refused:?}");
    }
    // A change does not conflict with the token's own name.
    let id = &made[0].as_ref().unwrap().id;
    changed(&server, id, &reader, None).await.unwrap();
    revoked(&server, id).await.unwrap();
    let brief = named(&server, "wire", &reader, 1000).await.unwrap();
    let mut next = named(&server, "wire", &reader, HOUR).await;
    while let Err(refused) = next {
        refused.assert_is(Code::AlreadyExists, "NAME_TAKEN");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        next = named(&server, "wire", &reader, HOUR).await;
    }
    // Its name was reused after it expired, so it can be renewed only when the other token is gone.
    let back = changed(&server, &brief.id, &reader, Some(HOUR)).await;
    back.unwrap_err()
        .assert_is(Code::AlreadyExists, "NAME_TAKEN");
    revoked(&server, &next.unwrap().id).await.unwrap();
    changed(&server, &brief.id, &reader, Some(HOUR))
        .await
        .unwrap();
    let taken = named(&server, "wire", &reader, HOUR).await.unwrap_err();
    taken.assert_is(Code::AlreadyExists, "NAME_TAKEN");
}
