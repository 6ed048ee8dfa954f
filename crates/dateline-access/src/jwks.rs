//! The keys of an issuer of JWT: from a file, from an address, or by discovery at the issuer; read again when they
//! change.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use jsonwebtoken::{
    AlgorithmFamily, DecodingKey, DecodingKeyKind,
    jwk::{Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::{file_version::WatchedFile, jwt::Algorithm, token::Hash};

/// Default interval between two requests for an issuer's keys.
pub const REFRESH_INTERVAL: Duration = Duration::from_mins(5);
/// Least interval between two requests that an unknown key causes.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(20);
/// Largest response of an issuer, in bytes.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;
/// Longest wait for a response of the issuer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The source of the keys.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// A file; it is read again when it changes.
    File(PathBuf),
    /// An address, requested every 5 minutes, and when a key is unknown.
    Url(Url),
    /// An issuer that publishes the address of its keys; requested like an address.
    Issuer(String),
}

impl KeySource {
    /// Returns the source that the operator configured, or the issuer itself if none is.
    ///
    /// # Errors
    /// If it is not an address, or neither https nor http from this machine: others on the network path could answer.
    pub fn new(issuer: &str, keys: Option<&str>) -> Result<Self> {
        let Some(keys) = keys else {
            let url = Url::parse(issuer).ok();
            let Some(url) = url.filter(|url| matches!(url.scheme(), "https" | "http")) else {
                bail!("{issuer} is no address that its keys could be asked from; name --jwt-keys");
            };
            check_transport(&url)?;
            ensure!(
                url.query().is_none() && url.fragment().is_none(),
                "an issuer's address has no ? and no #"
            );
            return Ok(Self::Issuer(issuer.to_owned()));
        };
        if keys.starts_with("https://") || keys.starts_with("http://") {
            let url = Url::parse(keys).with_context(|| format!("{keys} is no address"))?;
            check_transport(&url)?;
            return Ok(Self::Url(url));
        }
        Ok(Self::File(keys.into()))
    }
}

/// Requires https, or http from this machine: a forged key set would allow any identity to be forged.
fn check_transport(url: &Url) -> Result<()> {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback => Ok(()),
        _ => Err(anyhow!(
            "{url} is not https; an issuer's keys come by https, or by http from this machine alone"
        )),
    }
}

/// A public key of the issuer.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// The key for checking signatures.
    pub decoding: DecodingKey,
    /// Hash of the key itself, since its id may be reused for another key.
    pub hash: Hash,
}

/// Public keys of an issuer by their ids.
pub type KeySet = HashMap<String, PublicKey>;

/// Decides when to read the keys.
#[derive(Debug)]
pub struct RefreshSchedule {
    source: KeySource,
    refresh: Duration,
    read_at: Instant,
    file: Option<WatchedFile>,
}

impl RefreshSchedule {
    /// Starts the schedule; the caller reads the keys now.
    #[must_use]
    pub fn new(source: KeySource, refresh: Duration) -> Self {
        let file = match &source {
            KeySource::File(path) => Some(WatchedFile::new(path.clone())),
            KeySource::Url(_) | KeySource::Issuer(_) => None,
        };
        Self {
            source,
            refresh,
            read_at: Instant::now(),
            file,
        }
    }

    /// Returns the source if it is time to read it again. `missing` is true if a key was not found.
    pub fn due(&mut self, missing: bool) -> Option<KeySource> {
        let pause = if missing {
            MIN_REFRESH_INTERVAL.min(self.refresh)
        } else {
            self.refresh
        };
        let is_due = match &mut self.file {
            Some(file) => file.has_changed(),
            None => self.read_at.elapsed() >= pause,
        };
        if is_due {
            // Also if reading fails, so that an unavailable issuer is not asked without pause.
            self.read_at = Instant::now();
        }
        is_due.then(|| self.source.clone())
    }
}

/// Reads a set of keys.
///
/// # Errors
/// If it cannot be read. A set without a key for the algorithm is returned as empty.
pub async fn load(source: &KeySource, algorithm: Algorithm) -> Result<KeySet> {
    let bytes = match source {
        KeySource::File(path) => match std::fs::read(path) {
            // A deleted file means that there are no keys; an unreadable one may contain any.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(KeySet::new());
            }
            read => read
                .with_context(|| format!("cannot read the issuer's keys in {}", path.display()))?,
        },
        KeySource::Url(url) => fetch(url)
            .await
            .with_context(|| format!("cannot get the issuer's keys from {url}"))?,
        KeySource::Issuer(issuer) => {
            let url = discover(issuer)
                .await
                .with_context(|| format!("cannot discover the keys of {issuer}"))?;
            fetch(&url)
                .await
                .with_context(|| format!("cannot get the issuer's keys from {url}"))?
        }
    };
    parse(&bytes, algorithm)
}

fn parse(bytes: &[u8], algorithm: Algorithm) -> Result<KeySet> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    ensure!(
        bytes.len() <= MAX_RESPONSE_BYTES,
        "the issuer's keys are larger than {MAX_RESPONSE_BYTES} bytes"
    );
    let set: Set = serde_json::from_slice(bytes).context("the issuer's keys are no JWK set")?;
    let mut known = KeySet::new();
    let mut ambiguous = Vec::new();
    for (id, key) in set.keys.iter().filter_map(|key| usable_key(key, algorithm)) {
        match known.get(&id) {
            Some(other) if other.hash != key.hash => ambiguous.push(id),
            _ => {
                known.insert(id, key);
            }
        }
    }
    for id in ambiguous {
        tracing::warn!(id = ?id, "two of the issuer's keys have the same id; neither is used");
        known.remove(&id);
    }
    Ok(known)
}

/// Returns a key that may sign with the algorithm. Unknown types of keys are skipped (RFC 7517 section 5).
fn usable_key(key: &Value, algorithm: Algorithm) -> Option<(String, PublicKey)> {
    let key: Jwk = serde_json::from_value(key.clone()).ok()?;
    let common = &key.common;
    let is_for_signatures = matches!(common.public_key_use, None | Some(PublicKeyUse::Signature))
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let named = KeyAlgorithm::from(algorithm.to_jsonwebtoken());
    let is_for_algorithm = common.key_algorithm.is_none_or(|other| other == named);
    let decoding = DecodingKey::from_jwk(&key).ok()?;
    // A symmetric key that is public proves nothing: no accepted algorithm is of that family.
    if !is_for_signatures || !is_for_algorithm || decoding.family() != family(algorithm) {
        return None;
    }
    let hash = hash(&decoding);
    Some((common.key_id.clone()?, PublicKey { decoding, hash }))
}

fn family(algorithm: Algorithm) -> AlgorithmFamily {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 => AlgorithmFamily::Rsa,
        Algorithm::Es256 | Algorithm::Es384 => AlgorithmFamily::Ec,
        Algorithm::EdDsa => AlgorithmFamily::Ed,
    }
}

fn hash(key: &DecodingKey) -> Hash {
    let digest = match key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => Sha256::new().chain_update(bytes),
        DecodingKeyKind::RsaModulusExponent { n, e } => Sha256::new()
            .chain_update(n.len().to_be_bytes())
            .chain_update(n)
            .chain_update(e),
    };
    digest.finalize().into()
}

/// Requests the address of an issuer's keys (`OpenID` Connect Discovery 1.0, section 4).
async fn discover(issuer: &str) -> Result<Url> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        jwks_uri: String,
    }
    let address = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let bytes = fetch(&Url::parse(&address)?)
        .await
        .with_context(|| format!("cannot get {address}"))?;
    let document: Document = serde_json::from_slice(&bytes)
        .with_context(|| format!("{address} does not hold issuer and jwks_uri"))?;
    ensure!(
        document.issuer == issuer,
        "{address} is of the issuer {:?}, and --jwt-issuer is {issuer:?}; they must be the same, letter by letter",
        document.issuer,
    );
    let url = Url::parse(&document.jwks_uri)
        .with_context(|| format!("{:?} is no address of keys", document.jwks_uri))?;
    check_transport(&url)?;
    ensure!(
        url.scheme() == "https" || issuer.starts_with("http://"),
        "{url} is not https, as its issuer is"
    );
    Ok(url)
}

async fn fetch(url: &Url) -> Result<Vec<u8>> {
    let mut client = reqwest::Client::builder()
        .timeout(FETCH_TIMEOUT)
        // Redirects are not followed: keys come only from the configured address.
        .redirect(reqwest::redirect::Policy::none());
    if url.scheme() == "http" {
        client = client.no_proxy();
    }
    let mut answer = client.build()?.get(url.clone()).send().await?;
    ensure!(
        answer.status().is_success(),
        "it answers {} (redirects are not followed)",
        answer.status()
    );
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        ensure!(
            bytes.len() <= MAX_RESPONSE_BYTES,
            "it is larger than {MAX_RESPONSE_BYTES} bytes"
        );
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for (issuer, keys, is_taken) in [
            ("https://issuer.example", None, true),
            ("https://issuer.example/realms/news/", None, true),
            ("http://127.0.0.1:8080/realms/news", None, true),
            ("http://localhost:8080", None, true),
            ("http://[::1]:8080", None, true),
            ("http://issuer.example", None, false),
            ("http://127.0.0.1.example", None, false),
            ("https://issuer.example?a", None, false),
            ("ftp://issuer.example", None, false),
            ("accounts", None, false),
            ("accounts", Some("keys.json"), true),
            ("accounts", Some("https://issuer.example/keys"), true),
            ("accounts", Some("http://issuer.example/keys"), false),
            ("accounts", Some("http://127.0.0.1/keys"), true),
        ] {
            let taken = KeySource::new(issuer, keys);
            assert_eq!(taken.is_ok(), is_taken, "{issuer} {keys:?}: {taken:?}");
        }
    }

    #[test]
    fn keys_that_may_not_sign_or_share_an_id_are_none() {
        let key = |more: Value| {
            let mut key = serde_json::json!({
                "kty": "OKP", "crv": "Ed25519", "kid": "one",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            });
            for (name, value) in more.as_object().unwrap() {
                key[name] = value.clone();
            }
            key
        };
        let count = |keys: Vec<Value>| {
            let set = serde_json::json!({ "keys": keys }).to_string();
            parse(set.as_bytes(), Algorithm::EdDsa).unwrap().len()
        };
        let plain = || key(serde_json::json!({}));
        assert_eq!(
            count(vec![plain(), plain()]),
            1,
            "the same key twice is one"
        );
        let other = serde_json::json!({"x": "A".repeat(43)});
        assert_eq!(count(vec![plain(), key(other)]), 0);
        for more in [
            serde_json::json!({"use": "enc"}),
            serde_json::json!({"use": "other"}),
            serde_json::json!({"key_ops": ["sign"]}),
            serde_json::json!({"alg": "ES256"}),
            serde_json::json!({"alg": "unknown"}),
            serde_json::json!({"kty": "oct", "k": "c2VjcmV0"}),
            serde_json::json!({"kty": "new"}),
        ] {
            assert_eq!(count(vec![key(more.clone())]), 0, "{more}");
            assert_eq!(
                count(vec![
                    key(more.clone()),
                    key(serde_json::json!({"kid": "two"}))
                ]),
                1
            );
        }
        for more in [
            serde_json::json!({"use": "sig"}),
            serde_json::json!({"key_ops": ["verify"]}),
            serde_json::json!({"alg": "EdDSA"}),
        ] {
            assert_eq!(count(vec![key(more.clone())]), 1, "{more}");
        }
    }
}
