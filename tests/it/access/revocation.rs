//! The end of credentials: their open streams end within 5 s, with a reason that says what to do.

use std::time::Duration;

use dateline_client::Client;
use dateline_proto::v1::{
    ExportRequest, GetFeedRequest, RevokeTokenRequest, Role, UpdateTokenRequest, View,
    WatchRequest, WatchResponse,
};
use tonic::{Code, Streaming};

use crate::support::{
    callers::{
        AccessServers, client_with_token, create_token_until, create_token_with,
        start_access_servers, start_access_servers_with,
    },
    editing::{RpcError, create_drafts, desk_record, timestamp_in_ms},
    records::actor,
    replica::next_response,
    watch::{open_watch, watch_from_now},
};

/// Maximum time for which a stream may continue.
const AT_MOST: Duration = Duration::from_secs(5);

async fn watch(client: &Client, view: View) -> Streaming<WatchResponse> {
    let mut stream = open_watch(client, watch_from_now(view)).await;
    // The first message.
    next_response(&mut stream).await;
    stream
}

/// Reads until the stream ends; returns the messages as text, and the refusal.
async fn end_of(stream: &mut Streaming<WatchResponse>) -> (String, RpcError) {
    let mut all = String::new();
    let reading = async {
        loop {
            match stream.message().await {
                Ok(Some(message)) => all.push_str(&format!("{message:?}")),
                Ok(None) => panic!("the stream ended as if all were well"),
                Err(status) => return RpcError::from(status),
            }
        }
    };
    let refused = tokio::time::timeout(AT_MOST, reading)
        .await
        .expect("the stream ends within 5 s");
    (all, refused)
}

async fn revoke(two: &AccessServers, id: &str) {
    let request = RevokeTokenRequest { id: id.to_owned() };
    two.open
        .client
        .clone()
        .admin
        .revoke_token(request)
        .await
        .unwrap();
}

#[tokio::test]
async fn f10_an_open_stream_ends_when_its_token_is_revoked_and_others_go_on() {
    let two = start_access_servers().await;
    let (gone, secret) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let (_, other) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let mut ends = watch(
        &client_with_token(&two.closed.address, &secret).await,
        View::Published,
    )
    .await;
    let mut stays = watch(
        &client_with_token(&two.closed.address, &other).await,
        View::Published,
    )
    .await;
    // Revoked at another server of the same database than the one that has the stream.
    revoke(&two, &gone.id).await;
    let (_, refused) = end_of(&mut ends).await;
    refused.assert_is(Code::Unauthenticated, "TOKEN_REVOKED");
    let again = client_with_token(&two.closed.address, &secret).await;
    let status = again
        .clone()
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_REVOKED");
    crate::support::editing::create_base(&two.open.client).await;
    let message = stays.message().await.unwrap().unwrap();
    assert!(!message.changes.is_empty(), "{message:?}");
}

#[tokio::test]
async fn f10_a_desk_stream_ends_when_the_role_is_taken_away_and_tells_nothing_that_came_after() {
    let two = start_access_servers().await;
    crate::support::editing::create_base(&two.open.client).await;
    let (token, secret) = create_token_with(&two.open.client, &[Role::Editor], &[]).await;
    let editor = client_with_token(&two.closed.address, &secret).await;
    let mut desk = watch(&editor, View::Desk).await;
    let request = UpdateTokenRequest {
        id: token.id,
        roles: vec![Role::Reader.into()],
        ..UpdateTokenRequest::default()
    };
    two.open
        .client
        .clone()
        .admin
        .update_token(request)
        .await
        .unwrap();
    let (_, refused) = end_of(&mut desk).await;
    refused.assert_is(Code::Unauthenticated, "ACCESS_CHANGED");
    create_drafts(&two.open.client, &[actor("unheard")]).await;
    // The remaining role may read the wire feed, and not the desk feed.
    watch(&editor, View::Published).await;
    let request = WatchRequest {
        view: View::Desk.into(),
        ..WatchRequest::default()
    };
    let status = editor.clone().feed.watch(request).await.unwrap_err();
    RpcError::from(status).assert_is(Code::PermissionDenied, "ROLE_REQUIRED");
    let status = editor
        .clone()
        .records
        .get_record(crate::support::builders::get_request(
            "actors/unheard",
            View::Desk,
        ))
        .await
        .unwrap_err();
    RpcError::from(status).assert_is(Code::PermissionDenied, "ROLE_REQUIRED");
    desk_record(&two.open.client, "actors/unheard").await;
}

#[tokio::test]
async fn f10_an_open_stream_ends_when_its_token_expires() {
    let two = start_access_servers().await;
    let (_, secret) = create_token_until(
        &two.open.client,
        &[Role::Reader],
        &[],
        timestamp_in_ms(2500),
    )
    .await;
    let mut stream = watch(
        &client_with_token(&two.closed.address, &secret).await,
        View::Published,
    )
    .await;
    let mut refused = None;
    let reading = async {
        while refused.is_none() {
            refused = stream.message().await.err().map(RpcError::from);
        }
    };
    tokio::time::timeout(AT_MOST + Duration::from_millis(2500), reading)
        .await
        .unwrap();
    refused
        .unwrap()
        .assert_is(Code::Unauthenticated, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_caller_has_so_many_streams_and_exports_and_gets_places_back() {
    let two = start_access_servers_with(|config| {
        config.access.quotas.max_watches = 2;
        config.access.quotas.max_exports = 1;
    })
    .await;
    let (_, secret) = create_token_with(&two.open.client, &[Role::Exporter], &[]).await;
    let caller = client_with_token(&two.closed.address, &secret).await;
    let first = watch(&caller, View::Published).await;
    let _second = watch(&caller, View::Published).await;
    let third = caller.clone().feed.watch(WatchRequest::default()).await;
    let refused = RpcError::from(third.unwrap_err());
    refused.assert_is(Code::ResourceExhausted, "TOO_MANY_STREAMS");
    assert!(
        refused.message.contains("--max-watches-per-identity"),
        "{refused:?}"
    );
    drop(first);
    crate::support::editing::wait_until("a place is free again", async || {
        caller
            .clone()
            .feed
            .watch(WatchRequest::default())
            .await
            .is_ok()
    })
    .await;
    let mut export = caller
        .clone()
        .exports
        .export(ExportRequest::default())
        .await
        .unwrap()
        .into_inner();
    let other = caller
        .clone()
        .exports
        .export(ExportRequest::default())
        .await;
    RpcError::from(other.unwrap_err()).assert_is(Code::ResourceExhausted, "TOO_MANY_EXPORTS");
    while export.message().await.unwrap().is_some() {}
    crate::support::editing::wait_until("the export's place is free again", async || {
        caller
            .clone()
            .exports
            .export(ExportRequest::default())
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_caller_makes_so_many_calls_a_second_and_others_are_not_held_up() {
    let two =
        start_access_servers_with(|config| config.access.quotas.requests_per_second = 20).await;
    let (_, fast) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let (_, slow) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let (fast, slow) = (
        client_with_token(&two.closed.address, &fast).await,
        client_with_token(&two.closed.address, &slow).await,
    );
    let mut limited = None;
    for _ in 0..1000 {
        if let Err(status) = fast.clone().feed.get_feed(GetFeedRequest::default()).await {
            limited = Some(RpcError::from(status));
            break;
        }
    }
    let limited = limited.expect("a thousand calls at once are too many");
    limited.assert_is(Code::ResourceExhausted, "RATE_LIMITED");
    assert!(
        limited.message.contains("--requests-per-second"),
        "{limited:?}"
    );
    slow.clone()
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap();
    crate::support::editing::wait_until("the fast one may go on", async || {
        fast.clone()
            .feed
            .get_feed(GetFeedRequest::default())
            .await
            .is_ok()
    })
    .await;
}
