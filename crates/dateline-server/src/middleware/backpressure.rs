//! Backpressure: responses are produced no faster than they are taken. A call runs once its response fits into the
//! budgets of pending bytes (see [`super::budget`]), and its reservation lives in the bytes of the response until the
//! socket has taken them. Streams have bounds of their own.
//!
//! A committed write never fails for lack of budget: if its content does not fit, the response omits it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, request::Parts};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use super::{
    admitted::Admitted,
    budget::{Budgets, CallBudget, Reservation},
    buffered_body::{buffered_body, chained_body, full_body, next_frame, with_reservation},
    service::{BoxResponseFuture, GrpcCalls},
    timeout::before_deadline,
};
use crate::{
    config,
    status::{self, Reason},
    transport::Peer,
};

/// Largest response: the default limit of clients, less an allowance for the framing.
pub(crate) const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;
/// Responses up to this size need no reservation: the number of calls on a connection is limited anyway.
const SMALL_RESPONSE_BYTES: usize = 16 * 1024;
/// Requests up to this size are read without a reservation.
const SMALL_REQUEST_BYTES: usize = 64 * 1024;
/// Largest response with one record.
const MAX_RECORD_RESPONSE_BYTES: usize = MAX_RESPONSE_BYTES;
/// Bytes of requests that are carried out at once: decoded, and on their way through the committer.
const WORK_BYTES: usize = 16 * 1024 * 1024;
/// A small request that moves many records counts as this many times its bytes …
const WORK_PER_BYTE: usize = 32;
/// … but as no more than a quarter of [`WORK_BYTES`].
const MAX_CALL_WORK_BYTES: usize = WORK_BYTES / 4;
/// Calls of a connection that are carried out at once; one that writes many records counts as eight.
const MAX_CONCURRENT_CALLS: u32 = 64;
/// Bytes before each gRPC message: the compression flag and the length.
const PREFIX_BYTES: usize = 5;

/// The class of a method, by which its calls are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallClass {
    /// It streams, or is a method of another service: not paced.
    Free,
    /// Its response is small.
    Small,
    /// It reads one record, usually a small one: read at once, and read again after waiting if it does not fit.
    ReadOne,
    /// It reads up to a full response.
    ReadMany,
    /// It writes one record.
    WriteOne,
    /// It writes many records.
    WriteMany,
}

fn call_class(path: &str) -> CallClass {
    let Some(method) = path
        .strip_prefix("/dateline.v1.")
        .and_then(|path| path.split('/').nth(1))
    else {
        return CallClass::Free;
    };
    match method {
        "Watch" | "Export" => CallClass::Free,
        "GetFeed" | "CompactFeed" | "ForkFeed" | "CreateToken" | "UpdateToken" | "RevokeToken" => {
            CallClass::Small
        }
        "GetRecord" => CallClass::ReadOne,
        "CreateRecord" | "UpdateRecord" | "DeleteRecord" | "CorrectRecord" | "RestoreRecord" => {
            CallClass::WriteOne
        }
        "Commit" | "SubmitRecords" | "SendBackRecords" | "PublishRecords" | "RetractRecords"
        | "MergeRecord" | "UnmergeRecord" | "PurgeRecord" | "LoadRecords" => CallClass::WriteMany,
        // Lists, and methods added later: the most careful pacing.
        _ => CallClass::ReadMany,
    }
}

/// Layer that adds [`Backpressure`].
#[derive(Debug, Clone)]
pub struct BackpressureLayer {
    shared: Arc<BackpressureState>,
}

#[derive(Debug)]
struct BackpressureState {
    budgets: Budgets,
    work: Arc<Semaphore>,
    /// Largest request of any method.
    max_message_bytes: usize,
}

impl BackpressureLayer {
    /// Creates a layer with budgets of its own.
    #[must_use]
    pub fn new(limits: &config::Limits) -> Self {
        let shared = BackpressureState {
            budgets: Budgets::new(limits.buffers),
            work: Arc::new(Semaphore::new(WORK_BYTES)),
            max_message_bytes: limits.max_request_bytes.max(limits.max_batch_request_bytes),
        };
        Self {
            shared: Arc::new(shared),
        }
    }
}

impl<S> Layer<S> for BackpressureLayer {
    type Service = Backpressure<S>;

    fn layer(&self, inner: S) -> Backpressure<S> {
        Backpressure {
            inner,
            shared: self.shared.clone(),
        }
    }
}

/// Service that paces its calls.
#[derive(Debug, Clone)]
pub struct Backpressure<S> {
    inner: S,
    shared: Arc<BackpressureState>,
}

impl<S: GrpcCalls> Service<Request<Body>> for Backpressure<S> {
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
            let class = call_class(request.uri().path());
            let admitted = request.extensions().get::<Admitted>();
            let Some(admitted) = admitted.filter(|_| class != CallClass::Free) else {
                return tower::ServiceExt::oneshot(inner, request).await;
            };
            let peer = request.extensions().get::<Peer>();
            let budget = shared.budgets.for_call(peer, admitted.caller());
            let paced = BufferedCall {
                class,
                shared,
                call: Arc::new(CallReservation {
                    budget,
                    held: Mutex::default(),
                }),
            };
            Ok(paced
                .run(inner, request)
                .await
                .unwrap_or_else(Status::into_http))
        })
    }
}

tokio::task_local! {
    static CALL: Arc<CallReservation>;
}

/// The current call and its reservation.
#[derive(Debug)]
struct CallReservation {
    budget: CallBudget,
    held: Mutex<Reservation>,
}

impl CallReservation {
    fn held(&self) -> std::sync::MutexGuard<'_, Reservation> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves budget for a response of this size, if it is available now. Small responses need none.
    fn try_reserve(&self, bytes: usize) -> bool {
        let mut held = self.held();
        let missing = bytes.saturating_sub(held.bytes());
        if bytes <= SMALL_RESPONSE_BYTES || missing == 0 {
            return true;
        }
        match self.budget.try_reserve(missing) {
            Some(more) => {
                held.add(more);
                true
            }
            None => false,
        }
    }
}

/// Returns true if a response of this size fits into the budgets. It is then reserved for the current call.
pub(crate) fn try_reserve_response(bytes: usize) -> bool {
    CALL.try_with(|call| call.try_reserve(bytes))
        .unwrap_or(true)
}

struct BufferedCall {
    class: CallClass,
    shared: Arc<BackpressureState>,
    call: Arc<CallReservation>,
}

/// A request's message, as far as it was read.
enum RequestMessage {
    /// All of it, with its prefix.
    Whole(Bytes),
    /// A message that the framework will reject: the bytes read so far, and the rest of the body.
    Other(Bytes, Body),
}

impl BufferedCall {
    async fn run<S>(self, inner: S, request: Request<Body>) -> Result<Response<Body>, Status>
    where
        S: GrpcCalls,
    {
        let (parts, body) = request.into_parts();
        let message = match self.read_message(body).await? {
            RequestMessage::Whole(message) => message,
            RequestMessage::Other(begun, rest) => {
                return Ok(self
                    .call_inner(inner, parts, chained_body(begun, rest))
                    .await);
            }
        };
        self.reserve_expected(message.len()).await?;
        let again = (self.class == CallClass::ReadOne).then(|| (parts.clone(), message.clone()));
        let permit = self.call_permit().await?;
        // Taken last, since all connections share it.
        let _work = self.work_permit(message.len()).await?;
        let answer = self
            .call_inner(inner.clone(), parts, full_body(message))
            .await;
        let buffered = BufferedResponse::read(answer).await;
        drop(permit);
        match again {
            Some((parts, message)) if !self.call.try_reserve(buffered.bytes.len()) => {
                // Waits without holding the response, and reads the record again once it fits.
                let bytes = buffered.bytes.len();
                drop(buffered);
                self.reserve_total(bytes).await?;
                let _permit = self.call_permit().await?;
                let answer = self.call_inner(inner, parts, full_body(message)).await;
                Ok(BufferedResponse::read(answer)
                    .await
                    .into_response(&self.call))
            }
            _ => Ok(buffered.into_response(&self.call)),
        }
    }

    async fn call_inner(&self, inner: impl GrpcCalls, parts: Parts, body: Body) -> Response<Body> {
        let request = Request::from_parts(parts, body);
        let asked = tower::ServiceExt::oneshot(inner, request);
        match CALL.scope(self.call.clone(), asked).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Waits until this many bytes are reserved in all.
    async fn reserve_total(&self, bytes: usize) -> Result<(), Status> {
        let missing = bytes.saturating_sub(self.call.held().bytes());
        let Some(more) = before_deadline(self.call.budget.reserve(missing)).await else {
            return Err(out_of_budget(
                "there was no room for the answer before the deadline",
            ));
        };
        self.call.held().add(more);
        Ok(())
    }

    /// Waits for a turn among the calls of the connection: one client must not fill the queue for the database.
    async fn call_permit(&self) -> Result<Option<OwnedSemaphorePermit>, Status> {
        let turns = match self.class {
            CallClass::WriteMany => MAX_CONCURRENT_CALLS / 8,
            _ => 1,
        };
        let Some(peer) = self.call.budget.peer() else {
            return Ok(None);
        };
        let taken = peer
            .call_permits(MAX_CONCURRENT_CALLS as usize)
            .clone()
            .acquire_many_owned(turns);
        match before_deadline(taken).await {
            Some(permit) => Ok(permit.ok()),
            None => Err(out_of_budget("other calls of the connection took too long")),
        }
    }

    /// Waits until the expected size of the response is reserved.
    async fn reserve_expected(&self, message: usize) -> Result<(), Status> {
        match self.class {
            CallClass::ReadMany => self.reserve_total(MAX_RESPONSE_BYTES).await,
            CallClass::ReadOne if self.call.budget.is_short() => {
                self.reserve_total(MAX_RECORD_RESPONSE_BYTES).await
            }
            // Without content, a response is a few times as large as the names in the request.
            CallClass::WriteMany if message <= SMALL_REQUEST_BYTES => {
                self.reserve_total(8 * message).await
            }
            _ => Ok(()),
        }
    }

    /// Waits until this write fits into the limit of concurrent work.
    async fn work_permit(&self, message: usize) -> Result<Option<OwnedSemaphorePermit>, Status> {
        let bytes = match self.class {
            CallClass::WriteOne => message,
            CallClass::WriteMany => message.max((message * WORK_PER_BYTE).min(MAX_CALL_WORK_BYTES)),
            _ => return Ok(None),
        };
        let weight = u32::try_from(bytes.min(WORK_BYTES)).unwrap_or(u32::MAX);
        let work = self.shared.work.clone().acquire_many_owned(weight);
        match before_deadline(work).await {
            Some(work) => Ok(work.ok()),
            None => Err(out_of_budget("other writes took too long")),
        }
    }

    /// Reads a message. A large one is rejected if it exceeds the budgets: waiting would block the other calls of the
    /// connection, which may hold the budget that it needs.
    async fn read_message(&self, mut body: Body) -> Result<RequestMessage, Status> {
        let mut read = BytesMut::new();
        let mut length = None;
        loop {
            if length.is_none() && read.len() >= PREFIX_BYTES {
                let message = (&read[1..PREFIX_BYTES]).get_u32() as usize;
                if read[0] != 0 || message > self.shared.max_message_bytes {
                    return Ok(RequestMessage::Other(read.freeze(), body));
                }
                let whole = PREFIX_BYTES + message;
                self.reserve_request(whole)?;
                read.reserve(whole.saturating_sub(read.len()));
                length = Some(whole);
            }
            if length.is_some_and(|length| read.len() >= length) {
                return Ok(RequestMessage::Whole(read.freeze()));
            }
            match next_frame(&mut body).await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        read.put(data);
                    }
                }
                // The body was cut short: the framework has an error for it.
                Some(Err(_)) | None => return Ok(RequestMessage::Other(read.freeze(), body)),
            }
        }
    }

    fn reserve_request(&self, bytes: usize) -> Result<(), Status> {
        if bytes <= SMALL_REQUEST_BYTES {
            return Ok(());
        }
        let room = self.call.budget.try_reserve(bytes);
        let room = room.ok_or_else(|| out_of_budget("there is no room for the request"))?;
        self.call.held().add(room);
        Ok(())
    }
}

fn out_of_budget(what: &str) -> Status {
    let message = format!(
        "{what}; take the answers that wait, make fewer calls at once, or try again later \
         (server limit --max-buffered-bytes)"
    );
    status::limited(Reason::RateLimited, message)
}

/// A response that was read to its end from the framework, which yields it in pieces.
struct BufferedResponse {
    response: Response<()>,
    bytes: Bytes,
    end: Option<Result<HeaderMap, Status>>,
}

impl BufferedResponse {
    async fn read(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let (mut bytes, mut end) = (Bytes::new(), None);
        while let Some(frame) = next_frame(&mut body).await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) if bytes.is_empty() => bytes = data,
                Ok(Ok(data)) => bytes = [bytes, data].concat().into(),
                Ok(Err(frame)) => end = frame.into_trailers().ok().map(Ok),
                Err(status) => end = Some(Err(status)),
            }
        }
        Self {
            response: Response::from_parts(parts, ()),
            bytes,
            end,
        }
    }

    /// Returns the response; its bytes hold the reservation until they are gone.
    fn into_response(self, call: &CallReservation) -> Response<Body> {
        let length = self.bytes.len();
        let mut held = std::mem::take(&mut *call.held());
        let bytes = if length <= SMALL_RESPONSE_BYTES {
            self.bytes
        } else {
            held.shrink(length);
            with_reservation(self.bytes, held)
        };
        self.response.map(|()| buffered_body(bytes, self.end))
    }
}
