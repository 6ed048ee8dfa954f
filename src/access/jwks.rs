//! The keys of an issuer of JWT, from a file or an address that the operator named, read again when they change.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, JwkSet, PublicKeyUse},
};

use super::stamp::Stamp;

/// How often an address is asked for keys.
const REFRESH: Duration = Duration::from_mins(5);
/// How soon it is asked again, for a key that is not known.
const SOONEST: Duration = Duration::from_secs(20);
/// Largest set of keys.
const MAX_BYTES: usize = 256 * 1024;
/// Longest that an issuer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the keys are.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file; it is read again when it changes.
    File(PathBuf),
    /// An address; it is asked again every 5 minutes, and for a key that is not known.
    Url(String),
}

impl Source {
    /// From what an operator types.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.starts_with("https://") || text.starts_with("http://") {
            Self::Url(text.to_owned())
        } else {
            Self::File(text.into())
        }
    }

    /// Of a file.
    fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::File(path) => Stamp::of(path),
            Self::Url(_) => None,
        }
    }
}

/// The keys as they were read last.
#[derive(Debug)]
pub struct Keys {
    source: Source,
    known: HashMap<String, DecodingKey>,
    read_at: Instant,
    stamp: Option<Stamp>,
}

impl Keys {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// When there are none.
    pub async fn read(source: Source) -> Result<Self> {
        let stamp = source.stamp();
        let known = load(&source).await?;
        Ok(Self {
            source,
            known,
            read_at: Instant::now(),
            stamp,
        })
    }

    /// A key by its id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&DecodingKey> {
        self.known.get(id)
    }

    /// The source, if it is time to read it again. `missing`: because of a key that is not known.
    pub fn due(&mut self, missing: bool) -> Option<Source> {
        let is_due = match &self.source {
            Source::File(_) => self.source.stamp() != self.stamp,
            Source::Url(_) => self.read_at.elapsed() >= if missing { SOONEST } else { REFRESH },
        };
        if is_due {
            // Whether it works out or not: an issuer that is away is not asked without pause.
            self.read_at = Instant::now();
            self.stamp = self.source.stamp();
        }
        is_due.then(|| self.source.clone())
    }

    /// Takes what was read.
    pub fn replace(&mut self, known: HashMap<String, DecodingKey>) {
        self.known = known;
    }
}

/// Reads a set of keys.
///
/// # Errors
/// When it cannot be read, or holds no key of a kind that is used here.
pub async fn load(source: &Source) -> Result<HashMap<String, DecodingKey>> {
    let bytes = match source {
        Source::File(path) => std::fs::read(path)
            .with_context(|| format!("cannot read the issuer's keys in {}", path.display()))?,
        Source::Url(url) => fetch(url)
            .await
            .with_context(|| format!("cannot get the issuer's keys from {url}"))?,
    };
    ensure!(
        bytes.len() <= MAX_BYTES,
        "the issuer's keys are larger than {MAX_BYTES} bytes"
    );
    let set: JwkSet = serde_json::from_slice(&bytes).context("the issuer's keys are no JWK set")?;
    let keys = set.keys.iter().filter_map(|key| {
        let for_signatures = !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        // A symmetric key in a public place is nobody's.
        let is_public = !matches!(
            key.algorithm,
            AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_)
        );
        let id = key.common.key_id.clone()?;
        (for_signatures && is_public).then(|| Some((id, DecodingKey::from_jwk(key).ok()?)))?
    });
    let keys: HashMap<_, _> = keys.collect();
    ensure!(
        !keys.is_empty(),
        "the issuer's keys hold no public key with an id"
    );
    Ok(keys)
}

async fn fetch(url: &str) -> Result<Vec<u8>> {
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        // Keys come from where the operator said, and from nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let mut answer = client.get(url).send().await?.error_for_status()?;
    ensure!(
        answer.status().is_success(),
        "it answers {}",
        answer.status()
    );
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend_from_slice(&chunk);
        ensure!(
            bytes.len() <= MAX_BYTES,
            "it is larger than {MAX_BYTES} bytes"
        );
    }
    Ok(bytes)
}
