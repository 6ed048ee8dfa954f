//! One session per set of credentials: its grant, and the cancellation token that ends its streams when the credentials
//! end. Limits are per person, across all of their credentials.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use governor::{DefaultDirectRateLimiter, Quota};
use time::OffsetDateTime;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    caller::Denied,
    certificates::CertificateName,
    permission::{Permission, ROLES, Role},
    scope::Scope,
    token::Hash,
};

/// Idle time after which a session is dropped, in seconds; it is created again when needed.
const IDLE_TIMEOUT_SECONDS: i64 = 600;

/// Limits of one identity.
#[derive(Debug, Clone)]
pub struct Quotas {
    /// Maximum number of calls per second, with bursts of as many; 0 for no limit.
    pub requests_per_second: u32,
    /// Maximum number of open `Watch` streams.
    pub max_watches: usize,
    /// Maximum number of open exports.
    pub max_exports: usize,
    /// Maximum number of unknown credentials per second from one address, with bursts of ten times as many.
    pub auth_attempts_per_second: NonZeroU32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            requests_per_second: 1000,
            max_watches: 1000,
            max_exports: 2,
            auth_attempts_per_second: NonZeroU32::MIN.saturating_add(9),
        }
    }
}

/// Identifies the credentials of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CredentialKey {
    /// The id of an API token.
    Token(String),
    /// The hash of a JWT.
    Jwt(Hash),
    /// A name in a client certificate.
    Certificate(CertificateName),
}

/// The key that signed a JWT: its id, and the hash of the key itself, since the id may be reused for another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// `kid`.
    pub id: String,
    /// Hash of the public key.
    pub hash: Hash,
}

/// The identity and permissions that valid credentials give.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The author of writes.
    pub identity: String,
    /// The credentials as the audit names them.
    pub credential: String,
    /// The person whose limits apply, unique across all kinds of credentials.
    pub person: String,
    /// The roles of the caller.
    pub roles: Vec<Role>,
    /// The records that the caller is limited to.
    pub scope: Scope,
    /// Time of expiry, if any.
    pub expires_at: Option<OffsetDateTime>,
    /// For an API token: the expected hash of the whole token.
    pub hash: Option<Hash>,
    /// For a JWT: the key that signed it.
    pub signed_by: Option<SigningKey>,
}

impl Grant {
    /// The grant of every caller on a server without authentication: everything is allowed.
    #[must_use]
    pub fn local() -> Self {
        Self {
            identity: "local".to_owned(),
            credential: "none".to_owned(),
            person: "local".to_owned(),
            roles: ROLES.to_vec(),
            scope: Scope::default(),
            expires_at: None,
            hash: None,
            signed_by: None,
        }
    }

    /// True if identity, permissions, expiry and the secret or key are the same.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.person == other.person
            && self.roles == other.roles
            && self.scope == other.scope
            && self.expires_at == other.expires_at
            && self.hash == other.hash
            && self.signed_by == other.signed_by
    }
}

/// The remaining limits of a person, shared by all of their credentials.
#[derive(Debug)]
struct Allowance {
    /// Limit of calls per second, if there is one.
    rate: Option<DefaultDirectRateLimiter>,
    watches: Arc<Semaphore>,
    exports: Arc<Semaphore>,
}

impl Allowance {
    fn new(quotas: &Quotas) -> Self {
        let rate = NonZeroU32::new(quotas.requests_per_second)
            .map(|count| DefaultDirectRateLimiter::direct(Quota::per_second(count)));
        Self {
            rate,
            watches: Arc::new(Semaphore::new(quotas.max_watches)),
            exports: Arc::new(Semaphore::new(quotas.max_exports)),
        }
    }

    /// True if no session and no open stream uses it.
    fn is_idle(self: &Arc<Self>) -> bool {
        let in_use = |permits: &Arc<Semaphore>| Arc::strong_count(permits) > 1;
        Arc::strong_count(self) == 1 && !in_use(&self.watches) && !in_use(&self.exports)
    }
}

/// Credentials in use.
#[derive(Debug)]
pub struct Session {
    grant: Grant,
    allowance: Arc<Allowance>,
    used_at: AtomicI64,
    ended: CancellationToken,
    why: OnceLock<Denied>,
}

impl Session {
    /// Begins a session with limits of its own.
    #[must_use]
    pub fn new(grant: Grant, quotas: &Quotas) -> Self {
        Self::with(grant, Arc::new(Allowance::new(quotas)))
    }

    fn with(grant: Grant, allowance: Arc<Allowance>) -> Self {
        Self {
            grant,
            allowance,
            used_at: AtomicI64::new(OffsetDateTime::now_utc().unix_timestamp()),
            ended: CancellationToken::new(),
            why: OnceLock::new(),
        }
    }

    /// The author of writes.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.grant.identity
    }

    /// The credentials as the audit names them.
    #[must_use]
    pub fn credential(&self) -> &str {
        &self.grant.credential
    }

    /// The identity and permissions of the credentials.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The records that the caller is limited to.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.grant.scope
    }

    /// True if one of the roles has the permission.
    #[must_use]
    pub fn has_permission(&self, permission: Permission) -> bool {
        let mut roles = self.grant.roles.iter();
        roles.any(|role| role.permissions().contains(&permission))
    }

    /// Counts a call; false if the rate limit is exceeded.
    #[must_use]
    pub fn check_rate(&self) -> bool {
        self.allowance
            .rate
            .as_ref()
            .is_none_or(|rate| rate.check().is_ok())
    }

    /// Permits for open streams.
    #[must_use]
    pub fn watch_permits(&self) -> &Arc<Semaphore> {
        &self.allowance.watches
    }

    /// Permits for open exports.
    #[must_use]
    pub fn export_permits(&self) -> &Arc<Semaphore> {
        &self.allowance.exports
    }

    /// Waits until the credentials end or change.
    pub fn ended(&self) -> WaitForCancellationFutureOwned {
        self.ended.clone().cancelled_owned()
    }

    /// The reason why the session ended.
    #[must_use]
    pub fn end_reason(&self) -> Denied {
        self.why.get().cloned().unwrap_or(Denied::Changed)
    }

    /// Time of the last use, in seconds of Unix time.
    #[must_use]
    pub fn used_at(&self) -> i64 {
        self.used_at.load(Ordering::Relaxed)
    }

    fn end(&self, why: Denied) {
        // The first reason is kept.
        let _ = self.why.set(why);
        self.ended.cancel();
    }

    fn is_idle(self: &Arc<Self>, now: i64) -> bool {
        Arc::strong_count(self) == 1 && now - self.used_at() > IDLE_TIMEOUT_SECONDS
    }
}

/// The sessions of this process.
#[derive(Debug, Default)]
pub struct Sessions {
    known: Mutex<SessionTable>,
}

#[derive(Debug, Default)]
struct SessionTable {
    sessions: HashMap<CredentialKey, Arc<Session>>,
    /// By person.
    allowances: HashMap<String, Arc<Allowance>>,
}

impl Sessions {
    fn known(&self) -> std::sync::MutexGuard<'_, SessionTable> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the session of credentials that were verified before, unless it has ended.
    #[must_use]
    pub fn find(&self, key: &CredentialKey, now: OffsetDateTime) -> Option<Arc<Session>> {
        let session = self.known().sessions.get(key).cloned()?;
        if has_expired(&session.grant, now) {
            self.end(key, Denied::Expired);
            return None;
        }
        session
            .used_at
            .store(now.unix_timestamp(), Ordering::Relaxed);
        Some(session)
    }

    /// Returns the session of credentials that were just verified. If a concurrent call began one with another grant,
    /// that session ends and is replaced: a session that is not in this map would never end.
    #[must_use]
    pub fn begin(&self, key: CredentialKey, grant: Grant, quotas: &Quotas) -> Arc<Session> {
        let mut known = self.known();
        if let Some(session) = known
            .sessions
            .get(&key)
            .filter(|it| it.grant.is_same(&grant))
        {
            return session.clone();
        }
        let allowance = known.allowances.entry(grant.person.clone());
        let allowance = allowance.or_insert_with(|| Arc::new(Allowance::new(quotas)));
        let session = Arc::new(Session::with(grant, allowance.clone()));
        if let Some(replaced) = known.sessions.insert(key, session.clone()) {
            replaced.end(Denied::Changed);
        }
        session
    }

    /// Ends a session and its streams.
    pub fn end(&self, key: &CredentialKey, why: Denied) {
        if let Some(session) = self.known().sessions.remove(key) {
            tracing::info!(
                identity = session.identity(),
                credential = session.credential(),
                "credentials do not hold any more: {why}"
            );
            session.end(why);
        }
    }

    /// Ends the sessions for which `end_reason` returns a reason.
    pub fn end_where(&self, end_reason: impl Fn(&CredentialKey, &Grant) -> Option<Denied>) {
        let ended: Vec<_> = self
            .known()
            .sessions
            .iter()
            .filter_map(|(key, session)| Some((key.clone(), end_reason(key, &session.grant)?)))
            .collect();
        for (key, why) in ended {
            self.end(&key, why);
        }
    }

    /// Ends expired sessions and drops idle ones.
    pub fn evict(&self, now: OffsetDateTime) {
        self.end_where(|_, grant| has_expired(grant, now).then_some(Denied::Expired));
        let seconds = now.unix_timestamp();
        let mut known = self.known();
        known
            .sessions
            .retain(|_, session| !session.is_idle(seconds));
        known.allowances.retain(|_, it| !it.is_idle());
    }

    /// API tokens in use, each with the time of its last use in seconds of Unix time.
    #[must_use]
    pub fn tokens_in_use(&self) -> Vec<(String, i64)> {
        let known = self.known();
        let tokens = known
            .sessions
            .iter()
            .filter_map(|(key, session)| match key {
                CredentialKey::Token(id) => Some((id.clone(), session.used_at())),
                _ => None,
            });
        tokens.collect()
    }
}

/// True if the grant has expired.
#[must_use]
pub fn has_expired(grant: &Grant, now: OffsetDateTime) -> bool {
    grant.expires_at.is_some_and(|end| end <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f10_a_session_that_another_takes_the_place_of_ends() {
        let sessions = Sessions::default();
        let key = || CredentialKey::Token("somebody".to_owned());
        let quotas = Quotas::default();
        let first = sessions.begin(key(), Grant::local(), &quotas);
        let same = sessions.begin(key(), Grant::local(), &quotas);
        assert!(Arc::ptr_eq(&first, &same));
        let less = Grant {
            roles: vec![Role::Reader],
            ..Grant::local()
        };
        let other = sessions.begin(key(), less, &quotas);
        assert!(first.ended.is_cancelled() && !other.ended.is_cancelled());
        assert!(matches!(first.end_reason(), Denied::Changed));
        sessions.end(&key(), Denied::Revoked);
        assert!(matches!(other.end_reason(), Denied::Revoked));
    }

    #[test]
    fn limits_are_of_the_person_and_outlive_their_sessions() {
        let sessions = Sessions::default();
        let quotas = Quotas {
            max_watches: 2,
            ..Quotas::default()
        };
        let begin = |key: &str, person: &str| {
            let grant = Grant {
                person: person.to_owned(),
                ..Grant::local()
            };
            sessions.begin(CredentialKey::Token(key.to_owned()), grant, &quotas)
        };
        let one = begin("one", "a")
            .watch_permits()
            .clone()
            .try_acquire_owned();
        let two = begin("two", "a")
            .watch_permits()
            .clone()
            .try_acquire_owned();
        let open = (one.unwrap(), two.unwrap());
        let later = OffsetDateTime::now_utc() + time::Duration::hours(1);
        sessions.evict(later);
        assert!(sessions.known().sessions.is_empty());
        let third = begin("three", "a");
        assert!(third.watch_permits().try_acquire().is_err(), "two are open");
        assert!(begin("four", "b").watch_permits().try_acquire().is_ok());
        drop((open, third));
        sessions.evict(later);
        assert!(sessions.known().allowances.is_empty());
    }
}
