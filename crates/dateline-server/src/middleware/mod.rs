//! Layers around every call, one concern in each file. `around` and `protect` compose them; from the outside in:
//!
//! 1. `grpc_only` refuses clients that do not speak gRPC;
//! 2. `metrics` counts calls, whatever they end with;
//! 3. `errors` gives errors of the framework the contract's details;
//! 4. `timeout` ends calls at their deadline;
//! 5. `catch_panic` turns panics into INTERNAL;
//! 6. `admission` authenticates and authorises the caller, and applies limits;
//! 7. `backpressure` starts a call when its response fits into the `budget`.
//!
//! Between 5 and 6 lies `startup`, until the services are open. `revocation` ends responses whose credentials
//! are revoked.

pub(crate) mod admission;
pub(crate) mod admitted;
pub(crate) mod backpressure;
pub mod budget;
mod buffered_body;
mod catch_panic;
mod errors;
mod grpc_only;
mod metrics;
pub(crate) mod revocation;
pub(crate) mod service;
pub(crate) mod timeout;

use std::{sync::Arc, time::Duration};

use dateline_access::Authenticator;
use dateline_store::Store;
use tonic::service::Routes;
use tower::ServiceBuilder;

use self::{
    admission::{Admission, AdmissionLayer},
    backpressure::{Backpressure, BackpressureLayer},
    grpc_only::GrpcOnlyLayer,
    metrics::CallMetricsLayer,
    service::GrpcCalls,
    timeout::TimeoutLayer,
};
use crate::{config::Limits, transport::GrpcService};

/// The services, behind admission and backpressure.
pub(crate) type ProtectedServices = Admission<Backpressure<Routes>>;

/// Wraps services in the layers that every response passes.
pub fn around<S: GrpcCalls>(services: S, request_timeout: Duration) -> impl GrpcService {
    ServiceBuilder::new()
        .layer(GrpcOnlyLayer)
        .layer(CallMetricsLayer)
        .map_response(errors::add_details)
        .layer(TimeoutLayer::new(request_timeout))
        .map_response(catch_panic::unbox)
        .layer(catch_panic::layer())
        .service(services)
}

/// Wraps services in the layers that need the database.
pub(crate) fn protect(
    services: Routes,
    authenticator: Arc<Authenticator>,
    store: Store,
    limits: &Limits,
) -> ProtectedServices {
    ServiceBuilder::new()
        .layer(AdmissionLayer::new(authenticator, store, limits))
        .layer(BackpressureLayer::new(limits))
        .service(services)
}
