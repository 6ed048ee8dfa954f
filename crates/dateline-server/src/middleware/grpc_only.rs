//! Refuses clients that do not speak gRPC, such as a browser or a probe, with a plain HTTP response that they can read.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use tonic::body::Body;
use tower::{Layer, Service};

use super::service::GrpcCalls;

/// Layer that adds [`GrpcOnly`].
#[derive(Debug, Clone, Copy)]
pub(super) struct GrpcOnlyLayer;

impl<S> Layer<S> for GrpcOnlyLayer {
    type Service = GrpcOnly<S>;

    fn layer(&self, inner: S) -> GrpcOnly<S> {
        GrpcOnly { inner }
    }
}

/// Service that passes on only gRPC calls.
#[derive(Debug, Clone)]
pub(super) struct GrpcOnly<S> {
    inner: S,
}

impl<S: GrpcCalls> Service<Request<Body>> for GrpcOnly<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response<Body>, Infallible>>, S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(status) = non_grpc_status(&request) else {
            return Either::Right(self.inner.call(request));
        };
        let text = if is_grpc_web(&request) {
            GRPC_WEB_HINT
        } else {
            PLAIN_TEXT_HINT
        };
        Either::Left(ready(Ok(plain_text_response(status, text))))
    }
}

/// Returns the HTTP status for a client that does not speak gRPC; `None` for gRPC.
fn non_grpc_status(request: &Request<Body>) -> Option<StatusCode> {
    // gRPC-Web and JSON variants have similar media types, but their clients could not read a gRPC response.
    let is_grpc = matches!(
        media_type(request).as_str(),
        "application/grpc" | "application/grpc+proto"
    );
    if is_grpc_web(request) {
        Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    } else if request.version() < Version::HTTP_2 {
        Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED)
    } else {
        (!is_grpc).then_some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    }
}

/// Returns the media type of a request in lower case, without parameters; empty unless there is exactly one.
fn media_type(request: &Request<Body>) -> String {
    let mut kinds = request.headers().get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (kinds.next(), kinds.next()) else {
        return String::new();
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn is_grpc_web(request: &Request<Body>) -> bool {
    media_type(request).starts_with("application/grpc-web")
}

const PLAIN_TEXT_HINT: &str =
    "This port speaks gRPC: HTTP/2 and content-type application/grpc. Try `dateline health`.\n";
const GRPC_WEB_HINT: &str =
    "This port speaks gRPC, not gRPC-Web: put a proxy in front that translates, such as Envoy.\n";

fn plain_text_response(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::new(text.to_owned()));
    *response.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
