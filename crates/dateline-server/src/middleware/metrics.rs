//! Counts calls by method and code, and measures the time until a response begins.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::LazyLock,
    task::{Context, Poll},
    time::Instant,
};

use dateline_proto::DESCRIPTORS;
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::service::{BoxResponseFuture, GrpcCalls};

/// Layer that adds [`CallMetrics`].
#[derive(Debug, Clone, Copy)]
pub(super) struct CallMetricsLayer;

impl<S> Layer<S> for CallMetricsLayer {
    type Service = CallMetrics<S>;

    fn layer(&self, inner: S) -> CallMetrics<S> {
        CallMetrics { inner }
    }
}

/// Service that counts its calls.
#[derive(Debug, Clone)]
pub(super) struct CallMetrics<S> {
    inner: S,
}

impl<S: GrpcCalls> Service<Request<Body>> for CallMetrics<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> BoxResponseFuture {
        let method = request.uri().path().to_owned();
        let started = Instant::now();
        let call = self.inner.call(request);
        Box::pin(async move {
            let response = call.await?;
            record_call(&method, &response, started);
            Ok(response)
        })
    }
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
