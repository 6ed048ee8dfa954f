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

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use http::Request;
    use tonic::{Code, Status};
    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::middleware;

    /// Panics in the given way, before or after its first await.
    async fn handler(request: Request<Body>) -> Result<Response<Body>, Infallible> {
        match request.uri().path() {
            "/at-once" => panic!("secret {}", request.uri()),
            "/later" => {
                tokio::task::yield_now().await;
                std::panic::panic_any(7_u8)
            }
            _ => Ok(Status::ok("").into_http()),
        }
    }

    #[tokio::test]
    async fn a_panic_is_internal_says_nothing_of_itself_and_ends_one_call() {
        let calls = middleware::around(service_fn(handler), Duration::from_mins(1));
        let call = async |path: &str| {
            let request = Request::post(path)
                .version(http::Version::HTTP_2)
                .header("content-type", "application/grpc");
            let response = calls.clone().oneshot(request.body(Body::empty()).unwrap());
            Status::from_header_map(response.await.unwrap().headers()).unwrap()
        };
        for path in ["/at-once", "/later"] {
            let status = call(path).await;
            assert_eq!(status.code(), Code::Internal, "{path}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "INTERNAL");
            assert!(!status.message().contains("secret"), "{}", status.message());
        }
        assert_eq!(call("/fine").await.code(), Code::Ok);
    }
}
