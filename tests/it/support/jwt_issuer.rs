//! An issuer of JWT for tests: its keys, its tokens, and a real HTTP server for its documents.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "dateline";

/// A key of the issuer.
pub struct SigningKey {
    pub id: &'static str,
    pub pair: EcdsaKeyPair,
}

impl SigningKey {
    pub fn new(id: &'static str) -> Self {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
                .unwrap();
        Self { id, pair }
    }

    pub fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        })
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, &claims.to_string())
    }

    /// Signs claims verbatim; they need not be JSON.
    pub fn sign_text(&self, header: &Value, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", part(&header.to_string()), part(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), message.as_bytes())
            .unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub fn header(&self) -> Value {
        json!({"alg": "ES256", "typ": "JWT", "kid": self.id})
    }
}

pub fn jwk_set(signers: &[&SigningKey]) -> String {
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    // A symmetric key in the set is ignored.
    let symmetric =
        json!({"kty": "oct", "kid": "symmetric", "k": URL_SAFE_NO_PAD.encode("secret")});
    let all = [keys, vec![symmetric]].concat();
    json!({"keys": all}).to_string()
}

pub fn unix_now() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// The claims of a reader.
pub fn claims() -> Value {
    claims_of(ISSUER)
}

pub fn claims_of(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": AUDIENCE, "sub": "somebody", "exp": unix_now() + 600,
        "dateline_roles": ["reader", "offline_access"],
    })
}

/// An HTTP server whose answers are set by path: end of the status line, headers, and body.
#[derive(Clone)]
pub struct IssuerServer {
    pub address: String,
    answers: Arc<Mutex<HashMap<String, (String, String)>>>,
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl IssuerServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let answering = server.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answering = answering.clone();
                tokio::spawn(async move {
                    let mut request = vec![0; 8192];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..read]).into_owned();
                    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                    let (status, body) = answering.answer(&path);
                    let answer = format!(
                        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                        body.len()
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        server
    }

    fn answer(&self, path: &str) -> (String, String) {
        self.asked.lock().unwrap().push(path.to_owned());
        let known = self.answers.lock().unwrap().get(path).cloned();
        known.unwrap_or_else(|| ("404 Not Found".to_owned(), String::new()))
    }

    /// Sets the answer of a path.
    pub fn set(&self, path: &str, status: &str, body: &str) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(path.to_owned(), (status.to_owned(), body.to_owned()));
    }

    /// Publishes these keys, and their discovery document, for the issuer at this path.
    pub fn issue(&self, issuer_path: &str, signers: &[&SigningKey]) {
        let keys_path = format!("{}/certs", issuer_path.trim_end_matches('/'));
        self.set(&keys_path, "200 OK", &jwk_set(signers));
        let document = json!({
            "issuer": format!("{}{issuer_path}", self.address),
            "jwks_uri": format!("{}{keys_path}", self.address),
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let path = format!(
            "{}/.well-known/openid-configuration",
            issuer_path.trim_end_matches('/')
        );
        self.set(&path, "200 OK", &document.to_string());
    }
}
