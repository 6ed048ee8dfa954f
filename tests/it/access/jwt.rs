//! JWT of an issuer: those that are accepted, and the many that are not.

use std::{path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use dateline_access::{Algorithm, JwtSettings};
use dateline_proto::v1::{GetFeedRequest, View, WatchRequest};
use ring::signature::KeyPair;
use serde_json::{Value, json};
use tonic::Code;

use crate::support::{
    builders::create,
    callers::{AccessServers, client_with_token, start_access_servers_with},
    editing::{RpcError, commit_err, wait_until},
    jwt_issuer::{AUDIENCE, ISSUER, IssuerServer, SigningKey, claims, jwk_set, unix_now},
    records::actor,
    server::temp_dir,
};

/// The good claims with another value for one, or without it.
pub fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    let object = all.as_object_mut().unwrap();
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value);
    }
    all
}

fn settings(keys: &str) -> JwtSettings {
    JwtSettings {
        keys: Some(keys.into()),
        algorithm: Algorithm::Es256,
        ..JwtSettings::new(ISSUER, AUDIENCE)
    }
}

pub async fn server_with(set: impl FnOnce(&mut JwtSettings), keys: &str) -> AccessServers {
    let mut settings = settings(keys);
    set(&mut settings);
    start_access_servers_with(|config| config.access.jwt = Some(settings)).await
}

pub async fn server_with_file(path: &Path, signers: &[&SigningKey]) -> AccessServers {
    std::fs::write(path, jwk_set(signers)).unwrap();
    server_with(|_| {}, path.to_str().unwrap()).await
}

pub async fn call(two: &AccessServers, token: &str) -> Result<(), RpcError> {
    let caller = client_with_token(&two.closed.address, token).await;
    let answer = caller
        .clone()
        .feed
        .get_feed(GetFeedRequest::default())
        .await;
    answer.map(drop).map_err(RpcError::from)
}

#[tokio::test]
async fn a_jwt_of_the_issuer_has_the_roles_and_the_scope_that_it_says() {
    let (_scratch, directory) = temp_dir();
    let signer = SigningKey::new("one");
    let two = server_with_file(&directory.join("keys.json"), &[&signer]).await;
    let token = signer.sign(&signer.header(), &claims());
    call(&two, &token).await.unwrap();
    let reader = client_with_token(&two.closed.address, &token).await;
    let refusal = commit_err(&reader, vec![create(&actor("a"))]).await;
    refusal.assert_is(Code::PermissionDenied, "ROLE_REQUIRED");
    let desk = GetFeedRequest {
        view: View::Desk.into(),
    };
    let status = reader.clone().feed.get_feed(desk).await.unwrap_err();
    RpcError::from(status).assert_is(Code::PermissionDenied, "ROLE_REQUIRED");
    // A list of audiences that includes ours, and a role as a plain string.
    let list = with("aud", json!(["other", AUDIENCE]));
    call(&two, &signer.sign(&signer.header(), &list))
        .await
        .unwrap();
    let word = with("dateline_roles", json!("editor"));
    let editor =
        client_with_token(&two.closed.address, &signer.sign(&signer.header(), &word)).await;
    editor.clone().feed.get_feed(desk).await.unwrap();
    let narrow = with("dateline_scope", json!(["lang:en"]));
    let narrow =
        client_with_token(&two.closed.address, &signer.sign(&signer.header(), &narrow)).await;
    let feed = narrow
        .clone()
        .feed
        .get_feed(GetFeedRequest::default())
        .await
        .unwrap();
    assert_eq!(feed.into_inner().digest, None, "it is narrowed");
    // An unknown role is no role; `null` removes the claim.
    for roles in [
        json!(null),
        json!([]),
        json!(["Reader"]),
        json!(["admin "]),
        json!("admin reader"),
    ] {
        let token = signer.sign(&signer.header(), &with("dateline_roles", roles.clone()));
        let refused = call(&two, &token).await.unwrap_err();
        assert_eq!(refused.reason, "ROLE_REQUIRED", "{roles}");
    }
}

#[tokio::test]
async fn a_jwt_that_is_not_quite_right_is_nobodys() {
    let (_scratch, directory) = temp_dir();
    let (signer, stranger) = (SigningKey::new("one"), SigningKey::new("one"));
    let two = server_with_file(&directory.join("keys.json"), &[&signer]).await;
    let header = signer.header();
    let mut bad = Vec::new();
    for (name, value) in [
        ("iss", json!("https://other.example")),
        ("iss", json!(null)),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!(null)),
        ("sub", json!(null)),
        ("sub", json!("")),
        ("sub", json!("a\nb")),
        ("exp", json!(null)),
        ("exp", json!("soon")),
        ("exp", json!(unix_now() + 48 * 3600)),
        ("nbf", json!(unix_now() + 300)),
        ("dateline_scope", json!(["kind:events"])),
    ] {
        bad.push((
            format!("{name} {value}"),
            signer.sign(&header, &with(name, value)),
        ));
    }
    for (name, value) in [
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/keys")),
        ("jwk", stranger.jwk()),
        ("kid", json!("other")),
        ("kid", json!("symmetric")),
        ("typ", json!("dpop+jwt")),
        ("crit", json!(["exp"])),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
    ] {
        let mut header = header.clone();
        header[name] = value.clone();
        bad.push((
            format!("header {name} {value}"),
            signer.sign(&header, &claims()),
        ));
    }
    bad.push(("another key".into(), stranger.sign(&header, &claims())));
    let good = signer.sign(&header, &claims());
    let (message, _) = good.rsplit_once('.').unwrap();
    bad.push(("no signature".into(), format!("{message}.")));
    // Signed with the public key as if it were a shared secret.
    let secret = signer.pair.public_key().as_ref();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let forged = format!(
        "{}.{}",
        part(&json!({"alg": "HS256", "typ": "JWT", "kid": "one"})),
        part(&claims())
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let tag = URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, forged.as_bytes()));
    bad.push(("HS256 by the public key".into(), format!("{forged}.{tag}")));
    let swapped = {
        let other = signer.sign(&header, &with("dateline_roles", json!(["admin"])));
        let payload = other.split('.').nth(1).unwrap().to_owned();
        let parts: Vec<_> = good.split('.').collect();
        format!("{}.{payload}.{}", parts[0], parts[2])
    };
    bad.push(("other claims".into(), swapped));
    for (what, token) in bad {
        let refused = call(&two, &token).await.expect_err(&what);
        assert_eq!(
            (refused.code, refused.reason.as_str()),
            (Code::Unauthenticated, "TOKEN_INVALID"),
            "{what}"
        );
    }
    let expired = signer.sign(&header, &with("exp", json!(unix_now() - 60)));
    let refused = call(&two, &expired).await.unwrap_err();
    refused.assert_is(Code::Unauthenticated, "TOKEN_EXPIRED");
    // Small clock differences are tolerated.
    call(
        &two,
        &signer.sign(&header, &with("nbf", json!(unix_now() + 10))),
    )
    .await
    .unwrap();
    call(&two, &good).await.unwrap();
}

#[tokio::test]
async fn keys_are_read_again_and_streams_of_a_key_that_is_gone_end() {
    let (_scratch, directory) = temp_dir();
    let path = directory.join("keys.json");
    let (old, new) = (SigningKey::new("old"), SigningKey::new("new"));
    let two = server_with_file(&path, &[&old]).await;
    let token = old.sign(&old.header(), &claims());
    let caller = client_with_token(&two.closed.address, &token).await;
    let mut stream = caller
        .clone()
        .feed
        .watch(WatchRequest::default())
        .await
        .unwrap()
        .into_inner();
    stream.message().await.unwrap().unwrap();
    let newer = new.sign(&new.header(), &claims());
    call(&two, &newer)
        .await
        .unwrap_err()
        .assert_is(Code::Unauthenticated, "TOKEN_INVALID");
    // A malformed file changes nothing.
    std::fs::write(&path, "{").unwrap();
    wait_until("the broken file was looked at", async || {
        call(&two, &token).await.is_ok()
    })
    .await;
    std::fs::write(&path, jwk_set(&[&new])).unwrap();
    let ended = async {
        loop {
            if let Err(status) = stream.message().await {
                return RpcError::from(status);
            }
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .expect("within 5 s");
    ended.assert_is(Code::Unauthenticated, "TOKEN_REVOKED");
    wait_until("the new key is known", async || {
        call(&two, &newer).await.is_ok()
    })
    .await;
    call(&two, &token)
        .await
        .unwrap_err()
        .assert_is(Code::Unauthenticated, "TOKEN_INVALID");
}

#[tokio::test]
async fn keys_come_from_the_address_that_the_operator_named() {
    let signer = SigningKey::new("one");
    let server = IssuerServer::start().await;
    server.set("/keys", "200 OK", &jwk_set(&[&signer]));
    let two = server_with(|_| {}, &format!("{}/keys", server.address)).await;
    call(&two, &signer.sign(&signer.header(), &claims()))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_server_whose_issuer_has_no_keys_does_not_start() {
    let (_scratch, directory) = temp_dir();
    let path = directory.join("keys.json");
    for (text, words) in [
        ("", "no JWK set"),
        ("{\"keys\": []}", "no public key"),
        ("[]", "no JWK set"),
    ] {
        std::fs::write(&path, text).unwrap();
        let mut config =
            crate::support::server::config(&crate::support::server::create_database().await);
        config.access.jwt = Some(settings(path.to_str().unwrap()));
        let started =
            dateline_server::start(config, tokio_util::sync::CancellationToken::new()).await;
        let error = started.err().expect("it does not start").to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
