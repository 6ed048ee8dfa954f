//! The outermost layer: gives errors of the framework the contract's details (an oversized message, an unknown method,
//! a deadline), turns a panic into INTERNAL, and counts each call.

use std::{
    any::Any,
    collections::HashMap,
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use dateline_proto::DESCRIPTORS;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, Version, header::CONTENT_TYPE};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::{
    middleware::timeout,
    status::{self, Reason},
};

const DETAILS: &str = "grpc-status-details-bin";

/// Layer that adds [`ErrorDetailsService`].
#[derive(Debug, Clone, Copy)]
pub struct ErrorDetailsLayer {
    /// Maximum time until a response begins.
    pub request_timeout: Duration,
}

impl<S> Layer<S> for ErrorDetailsLayer {
    type Service = ErrorDetailsService<S>;

    fn layer(&self, inner: S) -> ErrorDetailsService<S> {
        ErrorDetailsService {
            inner,
            request_timeout: self.request_timeout,
        }
    }
}

/// Service that completes the error details of its responses.
#[derive(Debug, Clone)]
pub struct ErrorDetailsService<S> {
    inner: S,
    request_timeout: Duration,
}

type BoxResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for ErrorDetailsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::fmt::Display,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxResponseFuture;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routers are always ready; readiness of the clone below is awaited inside the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> BoxResponseFuture {
        if let Some(status) = non_grpc_status(&request) {
            let text = if is_grpc_web(&request) {
                GRPC_WEB_HINT
            } else {
                PLAIN_TEXT_HINT
            };
            return Box::pin(std::future::ready(Ok(plain_text_response(status, text))));
        }
        let method = request.uri().path().to_owned();
        let started = Instant::now();
        let time = timeout::allowed_time(request.headers(), self.request_timeout);
        let inner = self.inner.clone();
        Box::pin(async move {
            let call = AssertUnwindSafe(tower::ServiceExt::oneshot(inner, request)).catch_unwind();
            let response = match timeout::run_within(time, call).await {
                Ok(Ok(Ok(response))) => add_details(response),
                Ok(Ok(Err(error))) => layer_failed(&error.to_string()).into_http(),
                Ok(Err(panic)) => panic_status(panic.as_ref()).into_http(),
                Err(late) => late.into_http(),
            };
            record_call(&method, &response, started);
            Ok(response)
        })
    }
}

/// Returns the HTTP status for a client that does not speak gRPC, such as a browser or a probe; `None` for gRPC.
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

/// Replaces a gRPC error that has no details.
fn add_details(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else {
        return response;
    };
    if status.code() == Code::Ok || response.headers().contains_key(DETAILS) {
        return response;
    }
    framework_error(&status).into_http()
}

/// Maps an error of the framework to the contract's error table.
fn framework_error(status: &Status) -> Status {
    let text = status.message();
    match status.code() {
        Code::OutOfRange => {
            let message = "the message is larger than this method takes; send less at once";
            status::plain(Code::ResourceExhausted, Reason::MessageTooLarge, message)
        }
        Code::Unimplemented if text.contains("ncoding") || text.contains("ompress") => {
            status::plain(
                Code::Unimplemented,
                Reason::UnsupportedEncoding,
                "messages are taken uncompressed",
            )
        }
        Code::Unimplemented => status::plain(
            Code::Unimplemented,
            Reason::UnknownMethod,
            "there is no such method",
        ),
        Code::Cancelled | Code::DeadlineExceeded => status::plain(
            Code::DeadlineExceeded,
            Reason::DeadlineExceeded,
            "the deadline passed before the answer was ready",
        ),
        // tonic reports a request that is not framed as gRPC as internal.
        Code::Internal | Code::InvalidArgument => {
            tracing::debug!(text, "a request that the framework refused");
            status::plain(
                Code::InvalidArgument,
                Reason::UndecodableMessage,
                "the message is not framed as gRPC wants it",
            )
        }
        Code::Unavailable => status::unavailable(Reason::StoreUnavailable, "try again"),
        code => status::plain(code, Reason::InvalidRequest, text),
    }
}

fn layer_failed(text: &str) -> Status {
    tracing::error!(text, "a layer failed");
    status::plain(Code::Unavailable, Reason::StoreUnavailable, "try again")
}

#[derive(Debug, thiserror::Error)]
#[error("a handler panicked: {0}")]
struct HandlerPanic(String);

fn panic_status(panic: &(dyn Any + Send)) -> Status {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    metrics::counter!("dateline_panics_total").increment(1);
    status::internal(&HandlerPanic(text))
}

/// Labels of a method, named as in go-grpc-middleware.
struct MethodLabels {
    service: String,
    method: String,
    kind: &'static str,
}

/// Labels of our own methods, by path.
static METHODS: LazyLock<HashMap<String, MethodLabels>> = LazyLock::new(|| {
    let services = DESCRIPTORS.services();
    let ours = services.filter(|service| service.package_name() == "dateline.v1");
    let methods = ours.flat_map(|service| service.methods().collect::<Vec<_>>());
    methods
        .map(|method| {
            let labels = MethodLabels {
                service: method.parent_service().full_name().to_owned(),
                method: method.name().to_owned(),
                kind: match (method.is_client_streaming(), method.is_server_streaming()) {
                    (false, false) => "unary",
                    (true, false) => "client_stream",
                    (false, true) => "server_stream",
                    (true, true) => "bidi_stream",
                },
            };
            (format!("/{}/{}", labels.service, labels.method), labels)
        })
        .collect()
});

/// Labels of every other path: paths are chosen by clients and must not become labels.
static UNKNOWN: LazyLock<MethodLabels> = LazyLock::new(|| MethodLabels {
    service: "unknown".to_owned(),
    method: "unknown".to_owned(),
    kind: "unary",
});

/// Returns the name of a code as gRPC's metrics have it.
fn code_label(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        code => format!("{code:?}"),
    }
}

/// Counts a call when its response begins.
fn record_call(path: &str, response: &Response<Body>, started: Instant) {
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    let MethodLabels {
        service,
        method,
        kind,
    } = METHODS.get(path).unwrap_or(&UNKNOWN);
    let labels = [
        ("grpc_type", (*kind).to_owned()),
        ("grpc_service", service.clone()),
        ("grpc_method", method.clone()),
    ];
    metrics::histogram!("grpc_server_handling_seconds", &labels)
        .record(started.elapsed().as_secs_f64());
    let [kind, service, method] = labels;
    let labels = [kind, service, method, ("grpc_code", code_label(code))];
    metrics::counter!("grpc_server_handled_total", &labels).increment(1);
}
