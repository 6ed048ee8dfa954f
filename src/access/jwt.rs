//! JWT of one issuer (RFC 7519, by the advice of RFC 8725): one algorithm, a key of the issuer's by its id, and `iss`,
//! `aud`, `sub`, `exp` and `nbf` there and right. Nothing that the token itself names is fetched or trusted.

use anyhow::{Context, Result};
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::RwLock;

use super::{
    caller::Denied,
    jwks::{Keys, Source, load},
    permission::Role,
    ring_provider,
    scope::Scope,
    sessions::{Grant, Key, Sessions},
    token,
};

/// How far clocks may be apart, in seconds.
const LEEWAY: u64 = 30;
/// Longest that a token may hold, in seconds.
const LONGEST: i64 = 24 * 3600;
/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;

/// How tokens of an issuer are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 7518 and RFC 8037 say what each is")]
pub enum Algorithm {
    Rs256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    fn pinned(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Whose tokens are taken.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`: us.
    pub audience: String,
    /// A file or an address with the issuer's keys.
    pub keys: String,
    /// The one algorithm.
    pub algorithm: Algorithm,
    /// Where the roles are; dots lead into objects.
    pub roles_claim: String,
    /// Where the scope is.
    pub scope_claim: String,
}

/// Checks tokens.
#[derive(Debug)]
pub(super) struct Jwt {
    settings: JwtSettings,
    validation: Validation,
    keys: RwLock<Keys>,
}

impl Jwt {
    /// Reads the issuer's keys.
    pub async fn new(settings: JwtSettings) -> Result<Self> {
        ring_provider::install();
        let mut validation = Validation::new(settings.algorithm.pinned());
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        let keys = Keys::read(Source::parse(&settings.keys)).await?;
        Ok(Self {
            settings,
            validation,
            keys: RwLock::new(keys),
        })
    }

    /// What a token says, if it is good.
    pub async fn check(&self, text: &str, now: OffsetDateTime) -> Result<Grant, Denied> {
        let header = decode_header(text).map_err(|error| refused(&error))?;
        let id = self.key_of(&header)?;
        if self.keys.read().await.get(id).is_none() {
            self.reread(true).await;
        }
        let keys = self.keys.read().await;
        let key = keys.get(id).ok_or(Denied::Invalid)?;
        let read = decode::<Value>(text, key, &self.validation);
        let claims = read.map_err(|error| refused(&error))?.claims;
        self.grant(&claims, id, now)
    }

    /// The id of the key; none where the header wants something else to be trusted.
    fn key_of<'a>(&self, header: &'a Header) -> Result<&'a str, Denied> {
        let kind = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let brings_keys = header.jku.is_some()
            || header.jwk.is_some()
            || header.x5u.is_some()
            || header.x5c.is_some()
            || header.crit.is_some();
        if brings_keys
            || header.alg != self.settings.algorithm.pinned()
            || !matches!(kind.as_str(), "jwt" | "at+jwt" | "application/at+jwt")
        {
            return Err(Denied::Invalid);
        }
        header.kid.as_deref().ok_or(Denied::Invalid)
    }

    fn grant(&self, claims: &Value, key: &str, now: OffsetDateTime) -> Result<Grant, Denied> {
        let subject = claims["sub"].as_str().unwrap_or_default();
        let is_plain = |text: &str| !text.chars().any(char::is_control);
        let expires_at = claims["exp"].as_i64().unwrap_or(i64::MAX);
        let is_short = expires_at.saturating_sub(now.unix_timestamp()) <= LONGEST;
        if subject.is_empty()
            || subject.chars().count() > MAX_SUBJECT
            || !is_plain(subject)
            || !is_short
        {
            return Err(Denied::Invalid);
        }
        let roles = words(claims, &self.settings.roles_claim);
        let roles: Vec<_> = roles.iter().filter_map(|word| Role::parse(word)).collect();
        // Somebody whose scope cannot be understood is not let in with a wider one.
        let scope = words(claims, &self.settings.scope_claim);
        let scope = Scope::new(&scope, &roles).map_err(|what| {
            tracing::warn!(what, "a JWT with a scope that is none");
            Denied::Invalid
        })?;
        Ok(Grant {
            identity: format!("jwt:{subject}"),
            credential: format!("jwt of {}", self.settings.issuer),
            roles,
            scope,
            expires_at: OffsetDateTime::from_unix_timestamp(expires_at).ok(),
            hash: None,
            signed_by: Some(key.to_owned()),
        })
    }

    /// Reads the keys again if it is time; tokens of keys that are gone do not hold any more.
    pub async fn refresh(&self, sessions: &Sessions) {
        if !self.reread(false).await {
            return;
        }
        let keys = self.keys.read().await;
        sessions.end_where(|key, grant| {
            let signed_by = grant.signed_by.as_deref()?;
            let is_gone = matches!(key, Key::Jwt(_)) && keys.get(signed_by).is_none();
            is_gone.then_some(Denied::Revoked)
        });
    }

    async fn reread(&self, missing: bool) -> bool {
        let Some(source) = self.keys.write().await.due(missing) else {
            return false;
        };
        // Not under the lock: an issuer that is slow must not hold up those whose keys are known.
        match load(&source).await {
            Ok(known) => {
                self.keys.write().await.replace(known);
                tracing::info!("the issuer's keys were read again");
                true
            }
            Err(error) => {
                tracing::warn!("the issuer's keys stay as they were: {error:#}");
                false
            }
        }
    }
}

/// By what a session of a token is found again.
pub(super) fn key_of(text: &str) -> Key {
    Key::Jwt(token::hash(text))
}

fn refused(error: &jsonwebtoken::errors::Error) -> Denied {
    tracing::debug!(%error, "a JWT was refused");
    match error.kind() {
        jsonwebtoken::errors::ErrorKind::ExpiredSignature => Denied::Expired,
        _ => Denied::Invalid,
    }
}

/// The words of a claim: a list of strings, or one string. Anything else says nothing.
fn words(claims: &Value, path: &str) -> Vec<String> {
    let found = path
        .split('.')
        .try_fold(claims, |value, step| value.get(step));
    match found {
        Some(Value::String(word)) => vec![word.clone()],
        Some(Value::Array(list)) => {
            let words = list.iter().map(|word| word.as_str().map(ToOwned::to_owned));
            words.collect::<Option<_>>().unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// Whether what was sent could be a JWT.
pub(super) fn looks_like_one(text: &str) -> bool {
    text.split('.').count() == 3
}

/// For settings that cannot be used.
pub(super) async fn open(settings: Option<JwtSettings>) -> Result<Option<Jwt>> {
    match settings {
        Some(settings) => Ok(Some(
            Jwt::new(settings)
                .await
                .context("tokens of the issuer cannot be checked")?,
        )),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_in_claims_are_read_strictly() {
        let claims = serde_json::json!({
            "roles": ["reader", "offline_access"],
            "one": "admin",
            "realm": {"roles": ["editor"]},
            "nested": [["admin"]],
            "mixed": ["admin", 1],
            "text": "admin reader",
        });
        assert_eq!(words(&claims, "roles"), ["reader", "offline_access"]);
        assert_eq!(words(&claims, "one"), ["admin"]);
        assert_eq!(words(&claims, "realm.roles"), ["editor"]);
        assert!(words(&claims, "nested").is_empty());
        assert!(words(&claims, "mixed").is_empty());
        assert!(words(&claims, "missing.roles").is_empty());
        assert_eq!(Role::parse(&words(&claims, "text")[0]), None);
    }
}
