//! The matrix of credentials that end: each kind, by each way in which it can end, on an open stream, for a new call on
//! the same connection, and on a new connection. A stream ends within 5 s of the end; new calls are refused. Client
//! certificates are in `endings_certificates`.

use std::time::Duration;

use dateline_access::{Algorithm, JwtSettings};
use dateline_proto::v1::{
    GetFeedRequest, ListRecordsRequest, RevokeTokenRequest, Role, UpdateTokenRequest,
};
use futures_util::future::join_all;
use prost_types::Timestamp;
use sqlx::{Connection, Executor, PgConnection};
use tonic::Code;

use crate::support::{
    callers::{AccessServers, create_token_until, create_token_with, start_access_servers},
    editing::{RpcError, wait_until},
    held_stream::{ConnectOptions, MAX_STREAM_END_DELAY, hold_until_expiry},
    jwt_issuer::{AUDIENCE, ISSUER, IssuerServer, SigningKey, claims_of, jwk_set},
    server::{TestServer, config, create_database, start_server_with, temp_dir},
};

async fn sql(two: &AccessServers, text: String) {
    let mut connection = PgConnection::connect(&two.url).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(text)).await.unwrap();
}

async fn update(two: &AccessServers, id: &str, roles: &[Role], scope: &[&str]) {
    let request = UpdateTokenRequest {
        id: id.to_owned(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        scope: scope.iter().map(ToString::to_string).collect(),
        ..UpdateTokenRequest::default()
    };
    two.open
        .client
        .clone()
        .admin
        .update_token(request)
        .await
        .unwrap();
}

#[tokio::test]
async fn p5_api_tokens_end_by_every_way_for_streams_calls_and_connections() {
    let two = start_access_servers().await;
    let mut cast = Vec::new();
    for _ in 0..5 {
        let (token, secret) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
        let held = ConnectOptions::plain(&two.closed.address, &secret)
            .hold()
            .await;
        cast.push((token.id, held));
    }
    let [revoked, gone, replaced, narrowed, past] =
        cast.try_into().unwrap_or_else(|_| panic!("five"));
    let (expired, end) = hold_until_expiry(async |end| {
        let end = Timestamp {
            seconds: end.unix_timestamp(),
            nanos: 0,
        };
        let made = create_token_until(&two.open.client, &[Role::Reader], &[], end).await;
        ConnectOptions::plain(&two.closed.address, &made.1)
    })
    .await;
    let request = RevokeTokenRequest { id: revoked.0 };
    two.open
        .client
        .clone()
        .admin
        .revoke_token(request)
        .await
        .unwrap();
    update(&two, &narrowed.0, &[Role::Reader], &["lang:en"]).await;
    sql(&two, format!("DELETE FROM tokens WHERE id = '{}'", gone.0)).await;
    let other_secret = "UPDATE tokens SET secret_sha256 = sha256('another')";
    sql(&two, format!("{other_secret} WHERE id = '{}'", replaced.0)).await;
    let sooner = "UPDATE tokens SET expires_at = now()";
    sql(&two, format!("{sooner} WHERE id = '{}'", past.0)).await;
    tokio::join!(
        revoked
            .1
            .assert_ends("revoked", "TOKEN_REVOKED", "TOKEN_REVOKED"),
        gone.1
            .assert_ends("row gone", "TOKEN_REVOKED", "TOKEN_INVALID"),
        replaced
            .1
            .assert_ends("another secret", "TOKEN_REVOKED", "TOKEN_INVALID"),
        past.1
            .assert_ends("end moved", "TOKEN_EXPIRED", "TOKEN_EXPIRED"),
        expired.assert_expires("expired", end, "TOKEN_EXPIRED"),
        narrowed.1.assert_scope_narrows("narrowed"),
    );
}

/// The location of an issuer's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    File,
    Address,
    Discovered,
}

/// A way in which a JWT ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The key was removed, and there is another one.
    KeyRemoved,
    /// Another key has the same id.
    KeyReplaced,
    /// The issuer has no keys.
    NoKeys,
    /// The file was removed.
    FileGone,
}

async fn jwt_ends(from: Keys, end: End) {
    let what = format!("{from:?} {end:?}");
    let (_scratch, directory) = temp_dir();
    let (path, server) = (directory.join("keys.json"), IssuerServer::start().await);
    let issuer = match from {
        Keys::Discovered => format!("{}/realms/news", server.address),
        Keys::File | Keys::Address => ISSUER.to_owned(),
    };
    let set = |signers: &[&SigningKey]| match from {
        Keys::File => std::fs::write(&path, jwk_set(signers)).unwrap(),
        Keys::Address | Keys::Discovered => server.issue("/realms/news", signers),
    };
    let (old, new) = (SigningKey::new("one"), SigningKey::new("two"));
    let same_id = SigningKey::new("one");
    set(&[&old]);
    let test_server = jwt_site(&JwtSettings {
        keys: match from {
            Keys::File => Some(path.display().to_string()),
            Keys::Address => Some(format!("{}/realms/news/certs", server.address)),
            Keys::Discovered => None,
        },
        ..jwt_settings(&issuer)
    })
    .await;
    let token = old.sign(&old.header(), &claims_of(&issuer));
    let held = ConnectOptions::plain(&test_server.address, &token);
    let held = held.hold().await;
    match end {
        End::KeyRemoved => set(&[&new]),
        End::KeyReplaced => set(&[&same_id]),
        End::NoKeys => set(&[]),
        End::FileGone => std::fs::remove_file(&path).unwrap(),
    }
    held.assert_ends(&what, "TOKEN_REVOKED", "TOKEN_INVALID")
        .await;
    let newer = match end {
        End::KeyRemoved => &new,
        End::KeyReplaced => &same_id,
        _ => return,
    };
    let token = newer.sign(&newer.header(), &claims_of(&issuer));
    let other = ConnectOptions::plain(&test_server.address, &token);
    other
        .call(&other.connect().await.unwrap())
        .await
        .expect(&what);
}

async fn jwt_expires() {
    let (_scratch, directory) = temp_dir();
    let (path, key) = (directory.join("keys.json"), SigningKey::new("one"));
    std::fs::write(&path, jwk_set(&[&key])).unwrap();
    let test_server = jwt_site(&JwtSettings {
        keys: Some(path.display().to_string()),
        ..jwt_settings(ISSUER)
    })
    .await;
    let (held, end) = hold_until_expiry(async |end| {
        let mut all = claims_of(ISSUER);
        all["exp"] = end.unix_timestamp().into();
        ConnectOptions::plain(&test_server.address, &key.sign(&key.header(), &all))
    })
    .await;
    held.assert_expires("JWT expires", end, "TOKEN_EXPIRED")
        .await;
}

fn jwt_settings(issuer: &str) -> JwtSettings {
    JwtSettings {
        algorithm: Algorithm::Es256,
        refresh: Duration::from_millis(300),
        ..JwtSettings::new(issuer, AUDIENCE)
    }
}

async fn jwt_site(settings: &JwtSettings) -> TestServer {
    let mut config = config(&create_database().await);
    config.access.required = true;
    config.access.jwt = Some(settings.clone());
    start_server_with(config).await
}

#[tokio::test]
async fn p5_jwt_end_by_every_way_for_streams_calls_and_connections() {
    let cases = [
        (Keys::File, End::KeyRemoved),
        (Keys::File, End::KeyReplaced),
        (Keys::File, End::NoKeys),
        (Keys::File, End::FileGone),
        (Keys::Address, End::KeyRemoved),
        (Keys::Address, End::KeyReplaced),
        (Keys::Address, End::NoKeys),
        (Keys::Discovered, End::KeyRemoved),
        (Keys::Discovered, End::KeyReplaced),
    ];
    let others = join_all(cases.map(|(from, end)| Box::pin(jwt_ends(from, end))));
    tokio::join!(others, Box::pin(jwt_expires()));
}

#[tokio::test]
async fn p5_a_stream_of_the_schema_ends_with_the_token_too() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest,
    };
    let two = start_access_servers().await;
    let (made, secret) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let way = ConnectOptions::plain(&two.closed.address, &secret);
    let channel = crate::support::callers::client_with_token(&way.address, &secret)
        .await
        .channel();
    let (asks, asked) = tokio::sync::mpsc::channel(4);
    let ask = || ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    asks.send(ask()).await.unwrap();
    let asked = futures_util::stream::unfold(asked, async |mut asked| {
        asked.recv().await.map(|ask| (ask, asked))
    });
    let request = way.request(asked);
    let mut reflection = ServerReflectionClient::new(channel);
    let answers = reflection.server_reflection_info(request).await.unwrap();
    let mut answers = answers.into_inner();
    answers.message().await.unwrap().unwrap();
    let request = RevokeTokenRequest { id: made.id };
    two.open
        .client
        .clone()
        .admin
        .revoke_token(request)
        .await
        .unwrap();
    let ended = tokio::time::timeout(MAX_STREAM_END_DELAY, answers.message()).await;
    let status = ended.expect("within 5 s").unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_REVOKED");
    drop(asks);
}

#[tokio::test]
async fn p5_a_read_that_waits_for_a_sequence_is_refused_when_its_token_ends() {
    let two = start_access_servers().await;
    let (made, secret) = create_token_with(&two.open.client, &[Role::Reader], &[]).await;
    let reader = crate::support::callers::client_with_token(&two.closed.address, &secret).await;
    let request = ListRecordsRequest {
        min_sequence: 1,
        ..ListRecordsRequest::default()
    };
    let mut records = reader.records.clone();
    let waiting = tokio::spawn(async move { records.list_records(request).await });
    // The token must be accepted before it ends.
    wait_until("the token was used", async || {
        let mut feed = reader.feed.clone();
        feed.get_feed(GetFeedRequest::default()).await.is_ok()
    })
    .await;
    let request = RevokeTokenRequest { id: made.id };
    let mut admin = two.open.client.clone().admin;
    admin.revoke_token(request).await.unwrap();
    let ended = tokio::time::timeout(MAX_STREAM_END_DELAY, waiting).await;
    let status = ended.expect("within 5 s").unwrap().unwrap_err();
    RpcError::from(status).assert_is(Code::Unauthenticated, "TOKEN_REVOKED");
}
