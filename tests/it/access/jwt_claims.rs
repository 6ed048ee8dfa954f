//! Valid and malformed claims of a JWT, and those of real providers: a malformed claim causes a refusal that names it,
//! and is never treated as missing.

use dateline_access::{Algorithm, JwtSettings};
use dateline_proto::v1::{GetFeedRequest, View, WatchRequest};
use serde_json::{Value, json};
use tokio::process::Command;
use tonic::Code;

use super::jwt::{call, server_with, server_with_file, with};
use crate::support::{
    callers::{AccessServers, client_with_token, start_access_servers_with},
    editing::RpcError,
    jwt_issuer::{
        AUDIENCE, ISSUER, IssuerServer, SigningKey, claims, claims_of, jwk_set, unix_now,
    },
    process::Process,
    server::{PROGRAM, config, create_database, temp_dir},
};

/// A payload as text, in which one claim is written verbatim.
fn written(name: &str, value: &str) -> String {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    format!(
        "{}, {name:?}: {value}}}",
        all.to_string().trim_end_matches('}')
    )
}

#[tokio::test]
async fn p5_a_claim_that_is_malformed_is_refused_by_name_and_never_as_if_it_were_missing() {
    let (_scratch, directory) = temp_dir();
    let signer = SigningKey::new("one");
    let two = server_with_file(&directory.join("keys.json"), &[&signer]).await;
    let long = format!("\"{}\"", "a".repeat(201));
    let cases: &[(&str, &[&str])] = &[
        (
            "dateline_scope",
            &[
                r#"["lang:en", 5]"#,
                r#"["lang:en", null]"#,
                r#"["lang:en", ["kind:event"]]"#,
                r#"[["lang:en"]]"#,
                r#"["lang:en", ""]"#,
                r#"["lang:en", "event"]"#,
                r#"["lang:"]"#,
                r#"["kind:events"]"#,
                r#"["state:draft"]"#,
                r#"{"lang": "en"}"#,
                "{}",
                "[]",
                "5",
                "true",
                "null",
                r#""""#,
                r#"" ""#,
                r#""openid profile""#,
                r#""lang:en kind:event""#,
            ],
        ),
        (
            "dateline_roles",
            &[
                r#"["reader", 5]"#,
                r#"["reader", ["admin"]]"#,
                r#"[["admin"]]"#,
                r#"{"reader": true}"#,
                "5",
                "true",
                "null",
                r#""""#,
            ],
        ),
        (
            "aud",
            &[
                r#"["dateline", 5]"#,
                r#"[["dateline"]]"#,
                r#"{"dateline": true}"#,
                "[]",
                "null",
                r#""""#,
                r#""Dateline""#,
            ],
        ),
        ("iss", &[r#"["https://issuer.example"]"#, "null", "5"]),
        (
            "exp",
            &[
                "\"4000000000\"",
                "1e9",
                "99999999999.5",
                "9223372036854775808",
                "1e300",
                "null",
                "[]",
            ],
        ),
        (
            "nbf",
            &["\"0\"", "0.5", "18446744073709551616", "null", "true"],
        ),
        (
            "sub",
            &[
                r#""a\u202eb""#,
                r#""a\u2066b""#,
                r#""a\u0000b""#,
                r#""a\u0007b""#,
                r#""a\nb""#,
                r#""a\u2028b""#,
                r#""a\u0301""#,
                r#""\u200b""#,
                r#"" ""#,
                r#""""#,
                &long,
                "5",
                "null",
                r#"["somebody"]"#,
            ],
        ),
        ("typ", &[r#""ID""#, r#""Refresh""#, "5"]),
        ("cnf", &[r#"{"jkt": "a"}"#]),
        (
            "events",
            &[r#"{"http://schemas.openid.net/event/backchannel-logout": {}}"#],
        ),
    ];
    for (name, values) in cases {
        for value in *values {
            let token = signer.sign_text(&signer.header(), &written(name, value));
            let refused = call(&two, &token)
                .await
                .expect_err(&format!("{name}: {value}"));
            refused.assert_is(Code::Unauthenticated, "TOKEN_INVALID");
            let words = format!("its claim {name} ");
            assert!(
                refused.message.contains(&words),
                "{name} {value}: {refused:?}"
            );
        }
    }
    // Parsers differ in which of two equal names counts, so the token is refused.
    for twice in ["dateline_scope", "dateline_roles", "exp", "sub", "other"] {
        let payload = written(twice, &format!(r#"["kind:event"], "{twice}": ["lang:en"]"#));
        let token = signer.sign_text(&signer.header(), &payload);
        let refused = call(&two, &token).await.expect_err(twice);
        assert!(refused.message.contains("twice"), "{refused:?}");
    }
    for payload in ["", "[]", "{", "null", "\"a\""] {
        let token = signer.sign_text(&signer.header(), payload);
        let refused = call(&two, &token).await.expect_err(payload);
        refused.assert_is(Code::Unauthenticated, "TOKEN_INVALID");
    }
    // A token of another signer gets no details about the claims.
    let stranger = SigningKey::new("one");
    let token = stranger.sign(&stranger.header(), &with("aud", json!("other")));
    let refused = call(&two, &token).await.unwrap_err();
    assert!(!refused.message.contains("aud"), "{refused:?}");
}

#[tokio::test]
async fn p5_limits_are_of_the_person_and_not_of_each_jwt() {
    let (_scratch, directory) = temp_dir();
    let signer = SigningKey::new("one");
    let path = directory.join("keys.json");
    std::fs::write(&path, jwk_set(&[&signer])).unwrap();
    let two = start_access_servers_with(|config| {
        config.access.quotas.max_watches = 1;
        config.access.jwt = Some(JwtSettings {
            keys: Some(path.display().to_string()),
            algorithm: Algorithm::Es256,
            ..JwtSettings::new(ISSUER, AUDIENCE)
        });
    })
    .await;
    let watch = async |name: &str, value: Value| {
        let token = signer.sign(&signer.header(), &with(name, value));
        let caller = client_with_token(&two.closed.address, &token).await;
        caller.clone().feed.watch(WatchRequest::default()).await
    };
    let _open = watch("jti", json!(1)).await.unwrap();
    let refused = watch("jti", json!(2)).await.unwrap_err();
    RpcError::from(refused).assert_is(Code::ResourceExhausted, "TOO_MANY_STREAMS");
    watch("sub", json!("somebody-else")).await.unwrap();
}

/// The usual claims with those of a provider instead of `dateline_roles`.
fn provided(issuer: &str, more: &Value) -> Value {
    let mut all = claims_of(issuer);
    let object = all.as_object_mut().unwrap();
    object.remove("dateline_roles");
    object.extend(more.as_object().unwrap().clone());
    all
}

async fn may_read(two: &AccessServers, token: &str, view: View) -> Result<(), RpcError> {
    let caller = client_with_token(&two.closed.address, token).await;
    let request = GetFeedRequest { view: view.into() };
    let answer = caller.clone().feed.get_feed(request).await;
    answer.map(drop).map_err(RpcError::from)
}

#[tokio::test]
async fn p18_jwt_of_common_providers_are_taken_as_they_are() {
    let (server, signer) = (IssuerServer::start().await, SigningKey::new("one"));
    let providers = [
        // Keycloak: roles of the realm, the audience beside "account", no nbf.
        (
            "/realms/news",
            "realm_access.roles",
            json!({
                "aud": ["account", AUDIENCE], "azp": "desk-app", "typ": "Bearer", "iat": unix_now(), "jti": "a",
                "realm_access": {"roles": ["offline_access", "uma_authorization", "editor"]},
                "resource_access": {"account": {"roles": ["manage-account"]}}, "scope": "openid profile email",
            }),
        ),
        // Keycloak: roles of a client whose name has dots.
        (
            "/realms/clients",
            "resource_access.news.example.roles",
            json!({"typ": "Bearer", "resource_access": {"news.example": {"roles": ["editor"]}}}),
        ),
        // Auth0: the issuer ends with a slash, the claim has a namespace.
        (
            "/",
            "https://news.example/roles",
            json!({
                "aud": [AUDIENCE, "https://tenant.example/userinfo"], "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
                "https://news.example/roles": ["editor"], "scope": "openid read:news", "azp": "a", "iat": unix_now(),
            }),
        ),
        // Auth0 with RBAC: permissions are a list of strings.
        (
            "/rbac/",
            "permissions",
            json!({"permissions": ["read:news", "editor"], "gty": "password"}),
        ),
        // Entra ID: roles of the app, nbf, its own form of subject.
        (
            "/tenant/v2.0",
            "roles",
            json!({"roles": ["editor"], "nbf": unix_now(), "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "ver": "2.0"}),
        ),
    ];
    for (path, roles_claim, more) in providers {
        server.issue(path, &[&signer]);
        let issuer = format!("{}{path}", server.address);
        let two = server_with(
            |settings| {
                settings.issuer = issuer.clone();
                settings.keys = None;
                settings.roles_claim = roles_claim.to_owned();
            },
            "",
        )
        .await;
        let token = signer.sign(&signer.header(), &provided(&issuer, &more));
        may_read(&two, &token, View::Desk).await.expect(path);
        // Without the type in the header, like Okta.
        let header = json!({"alg": "ES256", "kid": "one"});
        let token = signer.sign(&header, &provided(&issuer, &more));
        may_read(&two, &token, View::Desk).await.expect(path);
    }
}

#[tokio::test]
async fn p18_a_google_token_says_who_it_is_and_has_no_role_here() {
    let (server, signer) = (IssuerServer::start().await, SigningKey::new("one"));
    server.issue("", &[&signer]);
    let issuer = server.address.clone();
    let two = server_with(
        |settings| {
            settings.issuer = issuer.clone();
            settings.keys = None;
        },
        "",
    )
    .await;
    let more = json!({
        "azp": AUDIENCE, "sub": "110169484474386276334", "hd": "news.example", "email": "a@news.example",
        "email_verified": true, "at_hash": "HK6E_P6Dh8Y93mRNtsDB1Q", "iat": unix_now(),
    });
    let token = signer.sign(&signer.header(), &provided(&issuer, &more));
    let refused = may_read(&two, &token, View::Published).await.unwrap_err();
    refused.assert_is(Code::PermissionDenied, "ROLE_REQUIRED");
}

async fn starts_with(set: impl FnOnce(&mut JwtSettings)) -> Result<(), String> {
    let mut config = config(&create_database().await);
    let mut settings = JwtSettings::new(ISSUER, AUDIENCE);
    settings.algorithm = Algorithm::Es256;
    set(&mut settings);
    config.access.jwt = Some(settings);
    let stop = tokio_util::sync::CancellationToken::new();
    match dateline_server::start(config, stop).await {
        Ok(running) => {
            running.stop().await.unwrap();
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn p18_discovery_believes_the_issuer_that_was_named_and_nobody_else() {
    let (server, signer) = (IssuerServer::start().await, SigningKey::new("one"));
    let at = |path: &str| format!("{}{path}", server.address);
    let document =
        |issuer: &str, jwks_uri: &str| json!({"issuer": issuer, "jwks_uri": jwks_uri}).to_string();
    server.issue("/good", &[&signer]);
    let good_keys = at("/good/certs");
    let large = " ".repeat(300 * 1024);
    let moved = format!(
        "302 Found\r\nlocation: {}",
        at("/good/.well-known/openid-configuration")
    );
    for (path, status, body, words) in [
        (
            "/other",
            "200 OK",
            document(&at("/good"), &good_keys),
            "letter by letter",
        ),
        (
            "/slash",
            "200 OK",
            document(&at("/slash/"), &good_keys),
            "letter by letter",
        ),
        (
            "/http",
            "200 OK",
            document(&at("/http"), "http://issuer.example/keys"),
            "not https",
        ),
        (
            "/file",
            "200 OK",
            document(&at("/file"), "file:///etc/passwd"),
            "not https",
        ),
        (
            "/relative",
            "200 OK",
            document(&at("/relative"), "/keys"),
            "no address",
        ),
        ("/none", "404 Not Found", String::new(), "404"),
        ("/moved", &moved, String::new(), "302"),
        ("/html", "200 OK", "<html>".to_owned(), "does not hold"),
        (
            "/half",
            "200 OK",
            json!({"issuer": at("/half")}).to_string(),
            "does not hold",
        ),
        ("/large", "200 OK", large, "larger than"),
        (
            "/keyless",
            "200 OK",
            document(&at("/keyless"), &at("/nothing")),
            "404",
        ),
    ] {
        server.set(
            &format!("{path}/.well-known/openid-configuration"),
            status,
            &body,
        );
        let error = starts_with(|settings| settings.issuer = at(path)).await;
        let error = error.expect_err(path);
        assert!(error.contains(words), "{path}: {error}");
    }
    let error = starts_with(|settings| {
        settings.issuer = at("/good");
        settings.algorithm = Algorithm::Rs256;
    });
    let error = error.await.unwrap_err();
    assert!(error.contains("RS256 (--jwt-algorithm)"), "{error}");
    starts_with(|settings| settings.issuer = at("/good"))
        .await
        .unwrap();
    // Only the two documents were requested.
    let asked = server.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .all(|path| path.contains("openid-configuration")
                || path.ends_with("/certs")
                || path == "/nothing"),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p18_refusals_of_jwt_are_logged_with_the_claim_and_never_with_the_token() {
    let (server, signer) = (IssuerServer::start().await, SigningKey::new("one"));
    server.issue("/realms/news", &[&signer]);
    let issuer = format!("{}/realms/news", server.address);
    let url = create_database().await;
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", &url]);
    command.args(["--jwt-issuer", &issuer, "--jwt-audience", AUDIENCE]);
    command.args(["--jwt-algorithm", "ES256"]);
    let process = Process::start(command).await;
    let stranger = SigningKey::new("one");
    let claim = |name: &str, value: Value| {
        let mut all = claims_of(&issuer);
        all[name] = value;
        all
    };
    let header = signer.header();
    let mut other_key = header.clone();
    other_key["kid"] = json!("unknown\u{202e}");
    let cases = [
        (
            signer.sign(&header, &claim("aud", json!("other"))),
            "claim=\"aud\"",
        ),
        (
            signer.sign(&header, &claim("iss", json!("other"))),
            "claim=\"iss\"",
        ),
        (
            signer.sign(&header, &claim("exp", json!(unix_now() - 5))),
            "claim=\"exp\"",
        ),
        (
            signer.sign(&header, &claim("nbf", json!(unix_now() + 600))),
            "claim=\"nbf\"",
        ),
        (
            signer.sign(&header, &claim("dateline_scope", json!(["lang:en", 5]))),
            "claim=\"dateline_scope\"",
        ),
        (
            stranger.sign(&header, &claims_of(&issuer)),
            "claim=\"signature\"",
        ),
        (
            signer.sign(&other_key, &claims_of(&issuer)),
            "claim=\"kid\"",
        ),
        (
            signer.sign(&header, &claim("dateline_roles", json!(["viewer"]))),
            "names no role in this claim",
        ),
    ];
    for (token, words) in &cases {
        let caller = client_with_token(&process.address, token).await;
        let answer = caller
            .clone()
            .feed
            .get_feed(GetFeedRequest::default())
            .await;
        answer.unwrap_err();
        process.wait_for_log(words).await;
    }
    for (token, _) in &cases {
        for part in token.split('.') {
            assert_eq!(
                process.count_log_lines(part),
                0,
                "a part of a token is in the log"
            );
        }
    }
    assert!(process.count_log_lines(" INFO ") > 0 && process.count_log_lines("\u{202e}") == 0);
}
