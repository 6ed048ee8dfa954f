//! Deadlines of calls: the client's (`grpc-timeout`), capped by the server's limit. tonic has a timer of its own, which
//! returns CANCELLED without details; this one fires a moment before it.

use std::{
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::service::{BoxResponseFuture, GrpcCalls};
use crate::status::{self, Reason};

/// Time by which the response must precede the client's deadline, so that it still arrives in time.
const RESPONSE_MARGIN: Duration = Duration::from_millis(5);

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Layer that adds [`Timeout`].
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeoutLayer {
    limit: Duration,
}

impl TimeoutLayer {
    /// Creates a layer with the maximum time until a response begins.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        let limit = self.limit;
        Timeout { inner, limit }
    }
}

/// Service that ends calls at their deadline.
#[derive(Debug, Clone)]
pub(super) struct Timeout<S> {
    inner: S,
    limit: Duration,
}

impl<S: GrpcCalls> Service<Request<Body>> for Timeout<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> BoxResponseFuture {
        let time = allowed_time(request.headers(), self.limit);
        let call = self.inner.call(request);
        Box::pin(async move {
            run_within(time, call)
                .await
                .unwrap_or_else(|late| Ok(late.into_http()))
        })
    }
}

/// Runs a call until its deadline.
///
/// # Errors
/// `DEADLINE_EXCEEDED`; work that is begun and not committed is dropped.
async fn run_within<T>(time: Duration, call: impl Future<Output = T>) -> Result<T, Status> {
    let deadline = Instant::now() + time;
    let exceeded = || {
        let message = "the deadline passed before the answer was ready";
        status::plain(Code::DeadlineExceeded, Reason::DeadlineExceeded, message)
    };
    if time.is_zero() {
        // Otherwise a call that is ready at the first poll would still be answered, and a write done.
        return Err(exceeded());
    }
    DEADLINE
        .scope(deadline, timeout_at(deadline, call))
        .await
        .map_err(|_| exceeded())
}

/// Waits inside a call; `None` if the result does not arrive in time for a response.
pub(crate) async fn before_deadline<T>(awaited: impl Future<Output = T>) -> Option<T> {
    match DEADLINE.try_with(|deadline| *deadline) {
        Ok(deadline) => timeout_at(deadline - RESPONSE_MARGIN, awaited).await.ok(),
        Err(_) => Some(awaited.await),
    }
}

/// Returns the time allowed for a call, from its headers and the server's limit.
fn allowed_time(headers: &HeaderMap, limit: Duration) -> Duration {
    let asked = headers
        .get("grpc-timeout")
        .and_then(|value| parse_timeout(value.to_str().ok()?));
    asked.map_or(limit, |asked| {
        asked.saturating_sub(RESPONSE_MARGIN).min(limit)
    })
}

/// Parses a gRPC timeout: at most eight digits and a unit. Anything else is ignored.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit());
    let count: u64 = is_number.then(|| digits.parse().ok())??;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r12_a_timeout_is_capped_and_one_that_is_none_is_ignored() {
        let limit = Duration::from_mins(1);
        for (text, expected) in [
            ("0n", Duration::ZERO),
            ("1m", Duration::ZERO),
            ("2S", Duration::from_millis(1995)),
            ("99999999H", limit),
            ("999999999S", limit),
            ("-1S", limit),
            ("1", limit),
            ("S", limit),
            ("", limit),
            ("1é", limit),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", http::HeaderValue::from_str(text).unwrap());
            assert_eq!(allowed_time(&headers, limit), expected, "{text}");
        }
        assert_eq!(allowed_time(&HeaderMap::new(), limit), limit);
    }
}
