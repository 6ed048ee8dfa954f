//! The time between opening the listener and opening the feeds: calls are answered with UNAVAILABLE instead of waiting,
//! and health checks with the present status.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::{body::Body, service::Routes};
use tower::{Service, ServiceExt};

use super::{
    backpressure::Backpressure,
    door::{Door, OPEN},
    status::{self, Reason},
};

/// The services, behind admission and backpressure.
pub type Routed = Door<Backpressure<Routes>>;

/// Answers calls with the services, once they are set.
#[derive(Debug, Clone)]
pub struct Starting {
    health: Routes,
    routed: Arc<OnceLock<Routed>>,
}

/// Sets the services, once.
#[derive(Debug)]
pub struct Started(Arc<OnceLock<Routed>>);

impl Started {
    /// Answers all further calls with these services.
    pub fn with(self, routed: Routed) {
        // `Started` is unique and consumed here, so nothing was set before.
        let _ = self.0.set(routed);
    }
}

impl Starting {
    /// Answers only health checks until the returned [`Started`] is given the services.
    #[must_use]
    pub fn new(health: Routes) -> (Self, Started) {
        let routed = Arc::new(OnceLock::new());
        let started = Started(routed.clone());
        (Self { health, routed }, started)
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Body>> for Starting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Readiness of the clone below is awaited inside the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match self.routed.get() {
            Some(routed) => Box::pin(routed.clone().oneshot(request)),
            None if request.uri().path().starts_with(OPEN) => {
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
