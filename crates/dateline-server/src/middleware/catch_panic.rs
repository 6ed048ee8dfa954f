//! Turns a panic of a handler into INTERNAL. `tower_http::catch_panic` catches it; this file answers it.

use std::any::Any;

use bytes::Bytes;
use http::Response;
use tonic::body::Body;
use tower::BoxError;
use tower_http::{body::UnsyncBoxBody, catch_panic::CatchPanicLayer};

use crate::status;

/// Function that answers a panic.
type PanicHandler = fn(Box<dyn Any + Send>) -> Response<Body>;

/// Returns the layer. Its responses have bodies of another type: [`unbox`].
pub(super) fn layer() -> CatchPanicLayer<PanicHandler> {
    CatchPanicLayer::custom(panic_response)
}

/// Turns a response of the layer into one of the other layers.
pub(super) fn unbox(response: Response<UnsyncBoxBody<Bytes, BoxError>>) -> Response<Body> {
    response.map(Body::new)
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct HandlerPanic(String);

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a panic handler"
)]
fn panic_response(panic: Box<dyn Any + Send>) -> Response<Body> {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    metrics::counter!("dateline_panics_total").increment(1);
    status::internal(&HandlerPanic(text)).into_http()
}
