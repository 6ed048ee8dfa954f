//! Callers with tokens, on a server that refuses callers without.

use std::sync::atomic::{AtomicU32, Ordering};

use dateline_client::{Client, Connection};
use dateline_proto::v1::{CreateTokenRequest, Role, Token};
use dateline_server::Config;
use prost_types::Timestamp;

use crate::support::{
    editing::timestamp_in_ms,
    server::{TestServer, config, create_database, start_server_with},
};

/// An open server for preparing records, and one on the same database that requires credentials.
pub struct AccessServers {
    pub open: TestServer,
    pub url: String,
    pub closed: TestServer,
}

/// Starts both on a database of their own.
pub async fn start_access_servers() -> AccessServers {
    start_access_servers_with(|_| {}).await
}

/// Starts both; `set` configures the one that requires credentials.
pub async fn start_access_servers_with(set: impl FnOnce(&mut Config)) -> AccessServers {
    let url = create_database().await;
    let open = start_server_with(config(&url)).await;
    let mut settings = config(&url);
    settings.access.required = true;
    set(&mut settings);
    let closed = start_server_with(settings).await;
    AccessServers { open, url, closed }
}

/// The time one hour from now.
pub fn in_an_hour() -> Timestamp {
    timestamp_in_ms(3_600_000)
}

/// Creates a token that lasts an hour; returns its description and its secret.
pub async fn create_token_with(admin: &Client, roles: &[Role], scope: &[&str]) -> (Token, String) {
    create_token_until(admin, roles, scope, in_an_hour()).await
}

/// Creates a token with an expiry.
pub async fn create_token_until(
    admin: &Client,
    roles: &[Role],
    scope: &[&str],
    end: Timestamp,
) -> (Token, String) {
    // Names of valid tokens are unique.
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let request = CreateTokenRequest {
        name: format!("tester-{number}"),
        roles: roles.iter().map(|role| i32::from(*role)).collect(),
        scope: scope.iter().map(ToString::to_string).collect(),
        expire_time: Some(end),
    };
    let answer = admin.clone().admin.create_token(request).await.unwrap();
    let answer = answer.into_inner();
    (answer.token.unwrap(), answer.secret)
}

/// A client that sends a token.
pub async fn client_with_token(address: &str, secret: &str) -> Client {
    let connection = Connection {
        token: Some(secret.to_owned().into()),
        ..Connection::from(address)
    };
    Client::connect_with(&connection).await.unwrap()
}

/// A client with a new token of these roles.
pub async fn client_with_roles(two: &AccessServers, roles: &[Role], scope: &[&str]) -> Client {
    let (_, secret) = create_token_with(&two.open.client, roles, scope).await;
    client_with_token(&two.closed.address, &secret).await
}
