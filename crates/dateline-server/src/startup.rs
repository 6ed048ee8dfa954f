//! The time between opening the listener and opening the feeds: calls are answered with UNAVAILABLE instead of waiting,
//! and health checks with the present status.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{body::Body, service::Routes};
use tower::{Service, ServiceExt};

use super::{
    middleware::{
        ProtectedServices, admission::UNAUTHENTICATED_PREFIX, service::BoxResponseFuture,
    },
    status::{self, Reason},
};

/// Answers calls with the services, once they are set.
#[derive(Debug, Clone)]
pub struct StartupService {
    health: Routes,
    routed: Arc<OnceLock<ProtectedServices>>,
}

/// Sets the services, once.
#[derive(Debug)]
pub struct StartupHandle(Arc<OnceLock<ProtectedServices>>);

impl StartupHandle {
    /// Answers all further calls with these services.
    pub fn set_services(self, routed: ProtectedServices) {
        // `StartupHandle` is unique and consumed here, so nothing was set before.
        let _ = self.0.set(routed);
    }
}

impl StartupService {
    /// Answers only health checks until the returned [`StartupHandle`] is given the services.
    #[must_use]
    pub fn new(health: Routes) -> (Self, StartupHandle) {
        let routed = Arc::new(OnceLock::new());
        let started = StartupHandle(routed.clone());
        (Self { health, routed }, started)
    }
}

impl Service<Request<Body>> for StartupService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxResponseFuture;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Readiness of the clone below is awaited inside the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> BoxResponseFuture {
        match self.routed.get() {
            Some(routed) => Box::pin(routed.clone().oneshot(request)),
            None if request.uri().path().starts_with(UNAUTHENTICATED_PREFIX) => {
                Box::pin(self.health.clone().oneshot(request))
            }
            None => Box::pin(async {
                let message = "the server is starting, and has not reached its database yet; try again, a write with \
                               the same request_id";
                Ok(status::unavailable(Reason::StoreUnavailable, message).into_http())
            }),
        }
    }
}
