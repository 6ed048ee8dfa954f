//! Authentication: maps the credentials of a request to its caller. Valid credentials are cached and checked again
//! every second, so that revoked credentials end their open streams within 5 s (F10).

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Result;
use dateline_store::{Store, StoredToken};
use governor::{DefaultKeyedRateLimiter, Quota};
use http::{HeaderMap, header::AUTHORIZATION};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    caller::{Caller, Denied},
    certificates::{CertificateName, CertificateRoles, ClientCertificate},
    file_version::WatchedFile,
    jwt::{self, JwtAuthenticator, JwtSettings},
    permission::Role,
    scope::Scope,
    sessions::{CredentialKey, Grant, Quotas, Session, Sessions, has_expired},
    token,
};

/// Interval between two checks of the credentials in use.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Rounds of checks after which the last use of tokens is stored.
const LAST_USE_ROUNDS: u32 = 20;
/// Longest that one check of the tokens may take.
const TOKENS_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest accepted credentials, in bytes.
const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;

/// Settings of authentication.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// True if requests without credentials are refused; otherwise they are allowed everything.
    pub required: bool,
    /// The accepted issuer of JWT.
    pub jwt: Option<JwtSettings>,
    /// File with the roles of client certificates.
    pub client_roles: Option<PathBuf>,
    /// Limits of each person.
    pub quotas: Quotas,
}

/// Authenticates requests.
#[derive(Debug)]
pub struct Authenticator {
    store: Store,
    required: bool,
    quotas: Quotas,
    sessions: Sessions,
    local: Arc<Session>,
    jwt: Option<JwtAuthenticator>,
    certificates: Option<CertificateRolesFile>,
    attempts: DefaultKeyedRateLimiter<IpAddr>,
}

#[derive(Debug)]
struct CertificateRolesFile {
    read: RwLock<CertificateRoles>,
    file: Mutex<WatchedFile>,
}

impl Authenticator {
    /// Loads the issuer's keys and the roles of certificates.
    ///
    /// # Errors
    /// If an issuer's keys or the roles of certificates cannot be read.
    pub async fn open(store: Store, settings: Settings) -> Result<Self> {
        let certificates = match settings.client_roles {
            Some(path) => Some(CertificateRolesFile::open(path)?),
            None => None,
        };
        let unlimited = Quotas {
            requests_per_second: 0,
            max_watches: Semaphore::MAX_PERMITS,
            max_exports: Semaphore::MAX_PERMITS,
            ..settings.quotas
        };
        let attempts = settings.quotas.auth_attempts_per_second;
        let burst = attempts.saturating_mul(NonZeroU32::new(10).unwrap_or(attempts));
        Ok(Self {
            store,
            required: settings.required,
            sessions: Sessions::default(),
            local: Arc::new(Session::new(Grant::local(), &unlimited)),
            jwt: jwt::open(settings.jwt).await?,
            certificates,
            quotas: settings.quotas,
            attempts: DefaultKeyedRateLimiter::keyed(
                Quota::per_second(attempts).allow_burst(burst),
            ),
        })
    }

    /// True if API tokens are the only accepted credentials.
    #[must_use]
    pub fn needs_tokens(&self) -> bool {
        let has_names = |file: &CertificateRolesFile| {
            let read = file.read.read().unwrap_or_else(PoisonError::into_inner);
            !read.is_empty()
        };
        self.required && self.jwt.is_none() && !self.certificates.as_ref().is_some_and(has_names)
    }

    /// Returns the caller of a request. A token takes precedence, even where none is required; then the names of the
    /// client's certificate. If the certificate of the connection has ended, every request is refused, also one with a
    /// token.
    ///
    /// # Errors
    /// If the caller is refused.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<SocketAddr>,
        certificate: Option<&Arc<ClientCertificate>>,
        method: &'static str,
    ) -> Result<Caller, Denied> {
        if let Some(why) = certificate.and_then(|it| it.end_reason()) {
            return Err(why);
        }
        let caller = |session| Caller::new(session, certificate.cloned(), peer, method);
        let now = OffsetDateTime::now_utc();
        if let Some(token) = bearer_token(headers)? {
            return self.session_for_token(token, peer, now).await.map(caller);
        }
        if let Some(file) = &self.certificates
            && let Some(certificate) = certificate
        {
            let session = file.session(certificate.names(), &self.sessions, &self.quotas, now);
            return session.map(caller);
        }
        if self.required {
            return Err(Denied::Missing);
        }
        Ok(caller(self.local.clone()))
    }

    async fn session_for_token(
        &self,
        text: &str,
        peer: Option<SocketAddr>,
        now: OffsetDateTime,
    ) -> Result<Arc<Session>, Denied> {
        if let Some(id) = token::parse_id(text) {
            let key = CredentialKey::Token(id.to_owned());
            let hash = token::hash(text);
            if let Some(session) = self.sessions.find(&key, now)
                && let Some(known) = session.grant().hash
                && token::hashes_match(&hash, &known)
            {
                return Ok(session);
            }
            self.check_attempt(peer)?;
            let found = self.store.find_token(id).await;
            let found = found.map_err(|error| Denied::Store(Arc::new(error)))?;
            let found = found.filter(|found| token::hashes_match(&hash, &found.secret_sha256));
            let grant = grant_of_token(&found.ok_or(Denied::Invalid)?, now)?;
            return Ok(self.sessions.begin(key, grant, &self.quotas));
        }
        let Some(jwt) = self.jwt.as_ref().filter(|_| jwt::has_jwt_shape(text)) else {
            self.check_attempt(peer)?;
            return Err(Denied::Invalid);
        };
        let key = jwt::session_key(text);
        if let Some(session) = self.sessions.find(&key, now) {
            return Ok(session);
        }
        self.check_attempt(peer)?;
        let grant = jwt.authenticate(text, now).await?;
        Ok(self.sessions.begin(key, grant, &self.quotas))
    }

    /// Counts credentials that are not known yet, against those who try many.
    fn check_attempt(&self, peer: Option<SocketAddr>) -> Result<(), Denied> {
        let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        match self.attempts.check_key(&peer) {
            Ok(()) => Ok(()),
            Err(_) => Err(Denied::TooManyAttempts),
        }
    }

    /// Checks periodically that cached credentials are still valid, until `stop`. Each kind of credentials is checked
    /// on its own, so a slow database or issuer delays only its own kind.
    pub async fn watch(&self, stop: CancellationToken) {
        let watching = async {
            tokio::join!(
                self.watch_sessions(),
                self.watch_tokens(),
                self.watch_keys()
            )
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Runs the checks that need neither the database nor the issuer.
    async fn watch_sessions(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            self.attempts.retain_recent();
            self.sessions.evict(OffsetDateTime::now_utc());
            if let Some(jwt) = &self.jwt {
                jwt.end_without_key(&self.sessions);
            }
            if let Some(file) = &self.certificates {
                file.refresh();
                file.end_changed(&self.sessions);
            }
        }
    }

    async fn watch_keys(&self) {
        let Some(jwt) = &self.jwt else { return };
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            jwt.refresh().await;
        }
    }

    async fn watch_tokens(&self) {
        let mut round = 0_u32;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            round = round.wrapping_add(1);
            let looking = self.check_tokens(round.is_multiple_of(LAST_USE_ROUNDS));
            if tokio::time::timeout(TOKENS_TIMEOUT, looking).await.is_err() {
                tracing::warn!("the database does not answer: tokens that were revoked hold on");
            }
        }
    }

    async fn check_tokens(&self, note: bool) {
        let used = self.sessions.tokens_in_use();
        if used.is_empty() {
            return;
        }
        let ids: Vec<_> = used.iter().map(|(id, _)| id.clone()).collect();
        match self.store.read_tokens(&ids).await {
            Ok(tokens) => self.end_changed(&ids, &tokens),
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "tokens cannot be looked at"
            ),
        }
        if note && let Err(error) = self.store.record_tokens_used(&used).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "use of tokens cannot be written down"
            );
        }
    }

    /// Ends the sessions of the tokens in `ids` that were changed or deleted.
    fn end_changed(&self, ids: &[String], tokens: &[StoredToken]) {
        let now = OffsetDateTime::now_utc();
        let tokens: HashMap<_, _> = tokens.iter().map(|it| (it.id.as_str(), it)).collect();
        self.sessions.end_where(|key, known| {
            let CredentialKey::Token(id) = key else {
                return None;
            };
            let Some(token) = tokens.get(id.as_str()) else {
                return ids.contains(id).then_some(Denied::Revoked);
            };
            match grant_of_token(token, now) {
                Err(why) => Some(why),
                Ok(new) if new.hash != known.hash => Some(Denied::Revoked),
                Ok(new) => (!new.is_same(known)).then_some(Denied::Changed),
            }
        });
    }
}

/// Returns the present grant of a stored token.
fn grant_of_token(token: &StoredToken, now: OffsetDateTime) -> Result<Grant, Denied> {
    if token.revoked_at.is_some() {
        return Err(Denied::Revoked);
    }
    let roles: Vec<_> = token
        .roles
        .iter()
        .filter_map(|it| Role::parse(it))
        .collect();
    // A scope that this version cannot parse must not widen access.
    let scope = Scope::new(&token.scope, &roles).map_err(|what| {
        tracing::error!(what, id = token.id, "a token with a scope that is none");
        Denied::Invalid
    })?;
    let grant = Grant {
        identity: token.name.clone(),
        credential: format!("token {}", token.id),
        person: format!("token:{}", token.name),
        roles,
        scope,
        expires_at: Some(token.expires_at),
        hash: token.secret_sha256.as_slice().try_into().ok(),
        signed_by: None,
    };
    if has_expired(&grant, now) {
        return Err(Denied::Expired);
    }
    Ok(grant)
}

/// Returns the bearer token of a request. Two tokens, or another scheme, are refused.
fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() || value.len() > MAX_CREDENTIAL_BYTES {
        return Err(Denied::Invalid);
    }
    let text = value.to_str().map_err(|_| Denied::Invalid)?;
    let (scheme, token) = text.split_once(' ').ok_or(Denied::Invalid)?;
    let is_token = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    is_token.then_some(Some(token)).ok_or(Denied::Invalid)
}

impl CertificateRolesFile {
    fn open(path: PathBuf) -> Result<Self> {
        let file = WatchedFile::new(path);
        let (read, mut faults) = CertificateRoles::read(file.path())?;
        if !faults.is_empty() {
            // At start-up an operator is present to correct the file.
            let what = format!("{} does not say who may do what", file.path().display());
            return Err(faults.swap_remove(0).context(what));
        }
        Ok(Self {
            read: RwLock::new(read),
            file: Mutex::new(file),
        })
    }

    fn session(
        &self,
        names: &[CertificateName],
        sessions: &Sessions,
        quotas: &Quotas,
        now: OffsetDateTime,
    ) -> Result<Arc<Session>, Denied> {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        let (name, grant) = read.find(names).ok_or(Denied::Invalid)?;
        let key = CredentialKey::Certificate(name.clone());
        Ok(match sessions.find(&key, now) {
            Some(session) if session.grant().is_same(grant) => session,
            _ => sessions.begin(key, grant.clone(), quotas),
        })
    }

    /// Reads the file again if it has changed. Malformed entries give no access.
    fn refresh(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !file.has_changed() {
            return;
        }
        let path = file.path().display();
        let read = if file.path().exists() {
            CertificateRoles::read(file.path())
        } else {
            tracing::error!(%path, "the roles of client certificates are gone: none is let in");
            Ok((CertificateRoles::default(), Vec::new()))
        };
        match read {
            Ok((read, faults)) => {
                for error in faults {
                    tracing::error!(%path, "nobody is let in by an entry that is not understood: {error:#}");
                }
                *self.read.write().unwrap_or_else(PoisonError::into_inner) = read;
                tracing::info!("the roles of client certificates were read again");
            }
            Err(error) => {
                tracing::error!("the roles of client certificates stay as they were: {error:#}");
            }
        }
    }

    /// Ends the sessions whose grant differs from the file.
    fn end_changed(&self, sessions: &Sessions) {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        sessions.end_where(|key, grant| {
            let CredentialKey::Certificate(name) = key else {
                return None;
            };
            match read.get(name) {
                Some(new) if new.is_same(grant) => None,
                Some(_) => Some(Denied::Changed),
                None => Some(Denied::Revoked),
            }
        });
    }
}
