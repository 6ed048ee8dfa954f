//! JWT of one issuer (RFC 7519, following RFC 8725): one algorithm, a key of the issuer found by its id, then the
//! claims. Nothing that the token itself names is fetched or trusted. Refusals are logged with the check that failed.

use std::{
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use governor::{DefaultDirectRateLimiter, Quota};
use jsonwebtoken::{Header, crypto, decode_header};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use super::{
    caller::Denied,
    claims::{ClaimError, Claims, Expected},
    jwks::{KeySet, KeySource, PublicKey, REFRESH_INTERVAL, RefreshSchedule, load},
    permission::Role,
    ring_provider,
    scope::Scope,
    sessions::{CredentialKey, Grant, Sessions, SigningKey},
    token,
};

/// Most refusals that are logged per second.
const LOGGED_REJECTIONS_PER_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// The algorithm of an issuer's signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "RFC 7518 and RFC 8037 say what each is")]
pub enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub(super) fn to_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// The accepted issuer.
#[derive(Debug, Clone)]
pub struct JwtSettings {
    /// `iss`.
    pub issuer: String,
    /// `aud`: the name of this service.
    pub audience: String,
    /// A file or an address with the issuer's keys; without it the keys are discovered at the issuer.
    pub keys: Option<String>,
    /// The only accepted algorithm.
    pub algorithm: Algorithm,
    /// Claim with the roles; dots separate the steps of a path into objects.
    pub roles_claim: String,
    /// Claim with the scope.
    pub scope_claim: String,
    /// Interval between two requests for keys, if they come from an address.
    pub refresh: Duration,
}

impl JwtSettings {
    /// Settings with the defaults of the command line.
    #[must_use]
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            keys: None,
            algorithm: Algorithm::Rs256,
            roles_claim: "dateline_roles".to_owned(),
            scope_claim: "dateline_scope".to_owned(),
            refresh: REFRESH_INTERVAL,
        }
    }

    /// Checks the settings without a request to the issuer.
    ///
    /// # Errors
    /// If there is no source of keys, or one without transport security.
    pub fn check(&self) -> Result<()> {
        KeySource::new(&self.issuer, self.keys.as_deref()).map(drop)
    }
}

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct JwtAuthenticator {
    settings: JwtSettings,
    keys: RwLock<Arc<KeySet>>,
    schedule: Mutex<RefreshSchedule>,
    logged: DefaultDirectRateLimiter,
}

/// A rejection: the error for the client, and the line in the log.
struct JwtRejection {
    denied: Denied,
    claim_error: ClaimError,
}

impl JwtRejection {
    /// A rejection before the signature was checked. The token may be forged, so the sender gets no details.
    fn unverified(part: &str, what: impl Into<String>) -> Self {
        Self {
            denied: Denied::Invalid,
            claim_error: ClaimError::new(part, what),
        }
    }
}

impl From<ClaimError> for JwtRejection {
    /// A rejection after the signature was checked. The sender may learn which claim is wrong.
    fn from(claim_error: ClaimError) -> Self {
        Self {
            denied: Denied::Claim(claim_error.clone()),
            claim_error,
        }
    }
}

impl JwtAuthenticator {
    /// Reads the issuer's keys.
    pub async fn new(settings: JwtSettings) -> Result<Self> {
        ring_provider::install();
        let source = KeySource::new(&settings.issuer, settings.keys.as_deref())?;
        if let KeySource::File(path) = &source {
            let opened = std::fs::File::open(path);
            opened
                .with_context(|| format!("cannot read the issuer's keys in {}", path.display()))?;
        }
        let schedule = RefreshSchedule::new(source.clone(), settings.refresh);
        let keys = load(&source, settings.algorithm).await?;
        ensure!(
            !keys.is_empty(),
            "the issuer's keys hold no public key with an id for {:?} (--jwt-algorithm)",
            settings.algorithm.to_jsonwebtoken(),
        );
        Ok(Self {
            settings,
            keys: RwLock::new(Arc::new(keys)),
            schedule: Mutex::new(schedule),
            logged: DefaultDirectRateLimiter::direct(Quota::per_second(
                LOGGED_REJECTIONS_PER_SECOND,
            )),
        })
    }

    fn keys(&self) -> Arc<KeySet> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// Verifies a token and returns its grant.
    pub async fn authenticate(&self, text: &str, now: OffsetDateTime) -> Result<Grant, Denied> {
        self.grant_of(text, now).await.map_err(|rejection| {
            if self.logged.check().is_ok() {
                let ClaimError { claim, what } = &rejection.claim_error;
                tracing::info!(
                    issuer = self.settings.issuer,
                    claim,
                    "a JWT was refused: {what}"
                );
            }
            rejection.denied
        })
    }

    async fn grant_of(&self, text: &str, now: OffsetDateTime) -> Result<Grant, JwtRejection> {
        let header = decode_header(text).map_err(|error| {
            JwtRejection::unverified("header", format!("cannot be read: {error}"))
        })?;
        let id = self.key_id(&header)?;
        let key = match self.keys().get(id).cloned() {
            Some(key) => key,
            None => self.refetch_key(id).await?,
        };
        let claims = self.verify(text, &key)?;
        self.grant(&claims, id, &key, now)
    }

    /// Reads the keys again, for a key that may be newer than the last read.
    async fn refetch_key(&self, id: &str) -> Result<PublicKey, JwtRejection> {
        self.reload_keys(true).await;
        self.keys().get(id).cloned().ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            JwtRejection::unverified("kid", format!("names no key of the issuer: {id:?}"))
        })
    }

    /// Returns the id of the key; refuses a header that asks to trust something else.
    fn key_id<'a>(&self, header: &'a Header) -> Result<&'a str, JwtRejection> {
        let kind = header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let brings_keys = header.jku.is_some()
            || header.jwk.is_some()
            || header.x5u.is_some()
            || header.x5c.is_some()
            || header.crit.is_some();
        if brings_keys {
            let what = "the header brings keys, or asks for more than is understood";
            return Err(JwtRejection::unverified("header", what));
        }
        if header.alg != self.settings.algorithm.to_jsonwebtoken() {
            let what = format!("is {:?}, which is not --jwt-algorithm", header.alg);
            return Err(JwtRejection::unverified("alg", what));
        }
        if !matches!(kind.as_str(), "jwt" | "at+jwt" | "application/at+jwt") {
            return Err(JwtRejection::unverified(
                "typ",
                "is not that of an access token",
            ));
        }
        let missing = || JwtRejection::unverified("kid", "is missing");
        header.kid.as_deref().ok_or_else(missing)
    }

    /// Returns the claims if the key has signed them.
    fn verify(&self, text: &str, key: &PublicKey) -> Result<Claims, JwtRejection> {
        let wrong = || JwtRejection::unverified("signature", "is not by the issuer's key");
        let (message, signature) = text.rsplit_once('.').ok_or_else(wrong)?;
        let algorithm = self.settings.algorithm.to_jsonwebtoken();
        let is_signed = crypto::verify(signature, message.as_bytes(), &key.decoding, algorithm);
        if !is_signed.unwrap_or(false) {
            return Err(wrong());
        }
        let malformed = |what: String| JwtRejection::from(ClaimError::new("payload", what));
        let (_, payload) = message.split_once('.').ok_or_else(wrong)?;
        let payload = URL_SAFE_NO_PAD.decode(payload);
        let payload = payload.map_err(|error| malformed(error.to_string()))?;
        Claims::parse(&payload).map_err(malformed)
    }

    fn grant(
        &self,
        claims: &Claims,
        id: &str,
        key: &PublicKey,
        now: OffsetDateTime,
    ) -> Result<Grant, JwtRejection> {
        let settings = &self.settings;
        let expected = Expected {
            issuer: &settings.issuer,
            audience: &settings.audience,
        };
        let (subject, ends_at) = claims.validate(&expected, now)?;
        if ends_at <= now {
            return Err(JwtRejection {
                denied: Denied::Expired,
                claim_error: ClaimError::new("exp", format!("is over (subject {subject:?})")),
            });
        }
        let roles = claims
            .string_list(&settings.roles_claim)?
            .unwrap_or_default();
        // Realms have roles of their own, which have no meaning here.
        let roles: Vec<_> = roles.iter().filter_map(|word| Role::parse(word)).collect();
        if roles.is_empty() {
            let claim = &settings.roles_claim;
            tracing::info!(%subject, claim, "a JWT names no role in this claim: it may do nothing");
        }
        let scope = self.scope(claims, &roles)?;
        Ok(Grant {
            identity: format!("jwt:{subject}"),
            credential: format!("jwt of {}", settings.issuer),
            person: format!("jwt:{}\n{subject}", settings.issuer),
            roles,
            scope,
            expires_at: Some(ends_at),
            hash: None,
            signed_by: Some(SigningKey {
                id: id.to_owned(),
                hash: key.hash,
            }),
        })
    }

    /// Returns the scope; it is unlimited only if there is no such claim.
    fn scope(&self, claims: &Claims, roles: &[Role]) -> Result<Scope, ClaimError> {
        let claim = &self.settings.scope_claim;
        let Some(entries) = claims.string_list(claim)? else {
            return Ok(Scope::default());
        };
        if entries.is_empty() {
            let what = "is an empty list; leave it out for everything";
            return Err(ClaimError::new(claim, what));
        }
        Scope::new(&entries, roles)
            .map_err(|what| ClaimError::new(claim, format!("cannot be understood: {what}")))
    }

    /// Reads the keys again if it is time.
    pub async fn refresh(&self) {
        self.reload_keys(false).await;
    }

    /// Ends the sessions of tokens whose key was removed or replaced under the same id.
    pub fn end_without_key(&self, sessions: &Sessions) {
        let keys = self.keys();
        sessions.end_where(|key, grant| {
            let (CredentialKey::Jwt(_), Some(signed_by)) = (key, &grant.signed_by) else {
                return None;
            };
            let known = keys.get(&signed_by.id);
            let holds = known.is_some_and(|key| key.hash == signed_by.hash);
            (!holds).then_some(Denied::Revoked)
        });
    }

    async fn reload_keys(&self, missing: bool) {
        // Held during the request to the issuer: concurrent callers with another new key wait for the same response.
        let mut schedule = self.schedule.lock().await;
        let Some(source) = schedule.due(missing) else {
            return;
        };
        match load(&source, self.settings.algorithm).await {
            Ok(known) => {
                if known.is_empty() {
                    tracing::error!(
                        issuer = self.settings.issuer,
                        "the issuer has no keys any more: no JWT is taken"
                    );
                }
                let count = known.len();
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
                tracing::info!(count, "the issuer's keys were read again");
            }
            Err(error) => tracing::warn!("the issuer's keys stay as they were: {error:#}"),
        }
    }
}

/// The key of a token's session.
pub(super) fn session_key(text: &str) -> CredentialKey {
    CredentialKey::Jwt(token::hash(text))
}

/// True if the text could be a JWT.
pub(super) fn has_jwt_shape(text: &str) -> bool {
    text.split('.').count() == 3
}

/// Opens the verifier if there are settings; fails if they cannot be used.
pub(super) async fn open(settings: Option<JwtSettings>) -> Result<Option<JwtAuthenticator>> {
    match settings {
        Some(settings) => JwtAuthenticator::new(settings)
            .await
            .map(Some)
            .context("tokens of the issuer cannot be checked"),
        None => Ok(None),
    }
}
