//! Admission: authenticates and authorises the caller, and applies its rate and stream limits, before the request is
//! read. Handlers find the caller in the request's extensions (`admitted`).

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use dateline_access::{Authenticator, Caller, Denied};
use dateline_proto::EXPORT_METHOD;
use dateline_store::Store;
use governor::{DefaultDirectRateLimiter, Quota};
use http::{Request, Response, request::Parts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    admitted::Admitted,
    revocation::RevocableBody,
    service::{BoxResponseFuture, GrpcCalls},
};
use crate::{
    config::Limits,
    status::{self, Reason},
    transport::{Peer, limits::limit_hit},
};

/// Methods without authentication: orchestrators must be able to read the health of the server.
pub(crate) const UNAUTHENTICATED_PREFIX: &str = "/grpc.health.v1.Health/";
const WATCH: &str = "/dateline.v1.FeedService/Watch";
/// Denials per second that are written to the audit log.
const AUDITED_DENIALS_PER_SECOND: std::num::NonZeroU32 =
    std::num::NonZeroU32::MIN.saturating_add(9);

/// Layer that adds [`Admission`].
#[derive(Debug, Clone)]
pub struct AdmissionLayer {
    shared: Arc<AdmissionState>,
}

#[derive(Debug)]
struct AdmissionState {
    authenticator: Arc<Authenticator>,
    store: Store,
    watches: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    audited_denials: DefaultDirectRateLimiter,
}

impl AdmissionLayer {
    /// Creates a layer that authenticates with `authenticator`.
    #[must_use]
    pub fn new(authenticator: Arc<Authenticator>, store: Store, limits: &Limits) -> Self {
        let shared = AdmissionState {
            authenticator,
            store,
            watches: Arc::new(Semaphore::new(limits.max_watches)),
            exports: Arc::new(Semaphore::new(limits.max_exports)),
            audited_denials: DefaultDirectRateLimiter::direct(Quota::per_second(
                AUDITED_DENIALS_PER_SECOND,
            )),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Admission<S> {
        Admission {
            inner,
            shared: self.shared.clone(),
        }
    }
}

/// Service that admits callers.
#[derive(Debug, Clone)]
pub struct Admission<S> {
    inner: S,
    shared: Arc<AdmissionState>,
}

impl<S: GrpcCalls> Service<Request<Body>> for Admission<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxResponseFuture;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routers are always ready; readiness of the clone below is awaited inside the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> BoxResponseFuture {
        let (inner, shared) = (self.inner.clone(), self.shared.clone());
        Box::pin(async move {
            if request.uri().path().starts_with(UNAUTHENTICATED_PREFIX) {
                return tower::ServiceExt::oneshot(inner, request).await;
            }
            let (mut parts, body) = request.into_parts();
            match shared.admit(&parts).await {
                Ok(admitted) => {
                    let is_ours = dateline_access::lookup_method(parts.uri.path()).is_some();
                    let caller = admitted.caller().clone();
                    parts.extensions.insert(admitted);
                    let request = Request::from_parts(parts, body);
                    let response = tower::ServiceExt::oneshot(inner, request).await?;
                    if is_ours {
                        return Ok(response);
                    }
                    Ok(response.map(|body| Body::new(RevocableBody::new(caller, body))))
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

impl AdmissionState {
    async fn admit(&self, request: &Parts) -> Result<Admitted, Status> {
        let path = request.uri.path();
        let peer = request.extensions.get::<Peer>();
        let address = peer.map(Peer::address);
        let certificate = peer.and_then(Peer::certificate);
        // Other paths need no permission: tonic reports an unknown method, or serves reflection.
        let (method, needed) = dateline_access::lookup_method(path).unzip();
        let name = method.and_then(|method| method.rsplit('/').next());
        let caller = self
            .authenticator
            .authenticate(
                &request.headers,
                address,
                certificate,
                name.unwrap_or_default(),
            )
            .await;
        let caller = caller.map_err(|why| deny(&why))?;
        if !caller.session().check_rate() {
            limit_hit("requests_per_second");
            let message = "these credentials make too many calls per second \
                           (server limit --requests-per-second); slow down";
            return Err(status::limited(Reason::RateLimited, message));
        }
        if let Some(Err(why)) = needed.map(|needed| caller.require_any(needed)) {
            self.audit_denial(&caller, &why);
            return Err(deny(&why));
        }
        let permits = self.permits(path, &caller)?;
        Ok(Admitted::new(caller, permits))
    }

    /// Writes a denial for a missing role or scope to the audit log, at a limited rate so that nobody can fill it.
    fn audit_denial(&self, caller: &Caller, why: &Denied) {
        if self.audited_denials.check().is_err() {
            return;
        }
        let (store, by, why) = (self.store.clone(), caller.attribution(), why.clone());
        tokio::spawn(async move {
            let outcome = match why {
                Denied::Scope(_) => Reason::OutOfScope,
                _ => Reason::RoleRequired,
            };
            if let Err(error) = store.record_audit(&by, outcome.as_str(), "").await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a refusal is not in the audit"
                );
            }
        });
    }

    /// Acquires the permits of a stream: one of its caller's, and one of the server's.
    fn permits(&self, path: &str, caller: &Caller) -> Result<Vec<OwnedSemaphorePermit>, Status> {
        let session = caller.session();
        match path {
            WATCH => {
                let reason = Reason::TooManyStreams;
                let own =
                    acquire_permit(session.watch_permits(), reason, "max_watches_per_identity")?;
                Ok(vec![
                    own,
                    acquire_permit(&self.watches, reason, "max_watches")?,
                ])
            }
            EXPORT_METHOD => {
                let reason = Reason::TooManyExports;
                let own =
                    acquire_permit(session.export_permits(), reason, "max_exports_per_identity")?;
                Ok(vec![
                    own,
                    acquire_permit(&self.exports, reason, "max_exports")?,
                ])
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// Counts a denial and returns its status.
fn deny(why: &Denied) -> Status {
    let reason = match why {
        Denied::Role(_) | Denied::Scope(_) => "role",
        Denied::Store(_) => "store",
        Denied::TooManyAttempts => {
            limit_hit("auth_attempts_per_second");
            "too_many_attempts"
        }
        _ => "credentials",
    };
    metrics::counter!("dateline_auth_denied_total", "reason" => reason).increment(1);
    status::denied(why)
}

fn acquire_permit(
    permits: &Arc<Semaphore>,
    reason: Reason,
    limit: &'static str,
) -> Result<OwnedSemaphorePermit, Status> {
    permits.clone().try_acquire_owned().map_err(|_| {
        limit_hit(limit);
        let setting = limit.replace('_', "-");
        let message =
            format!("too many are open (server limit --{setting}); close some, or retry later");
        status::limited(reason, message)
    })
}
