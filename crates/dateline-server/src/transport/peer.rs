//! The peer of a connection, and the counters of its activity. They are updated where bytes and calls pass, without
//! reading the clock, and evaluated by [`super::registry`], which reads it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
};

use dateline_access::ClientCertificate;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// The peer of a connection; cheap to clone. Every request carries it in its extensions.
#[derive(Debug, Clone)]
pub struct Peer(Arc<State>);

#[derive(Debug)]
struct State {
    address: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
    drain: CancellationToken,
    calls: AtomicU32,
    /// Calls whose next frame waits until the peer takes the one before.
    waiting: AtomicU32,
    begun: AtomicU64,
    moved: AtomicU64,
    written: AtomicU64,
    is_blocked: AtomicBool,
    close_reason: AtomicU8,
    close_notify: Notify,
    budget: OnceLock<Arc<Semaphore>>,
    call_permits: OnceLock<Arc<Semaphore>>,
}

/// Reason for closing a connection, in order of severity: a more severe one replaces a milder one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum CloseReason {
    /// The connection has reached its maximum age.
    Aged = 1,
    /// It had no call for longer than allowed.
    Idle,
    /// It never had a call.
    Unused,
    /// The client certificate has expired or was revoked.
    Uncertified,
    /// None of its calls reads its response.
    Stuck,
    /// The socket accepts no writes.
    Blocked,
    /// It sends a flood of useless frames.
    Flood,
}

impl Peer {
    /// Creates a peer whose streams end with `drain`.
    pub(super) fn new(
        address: SocketAddr,
        certificate: Option<Arc<ClientCertificate>>,
        drain: CancellationToken,
    ) -> Self {
        Self(Arc::new(State {
            address,
            certificate,
            drain,
            calls: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            written: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            close_reason: AtomicU8::new(0),
            close_notify: Notify::new(),
            budget: OnceLock::new(),
            call_permits: OnceLock::new(),
        }))
    }

    /// Returns the remote address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Returns the verified client certificate, if it has one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.0.certificate.as_ref()
    }

    /// Cancelled when the streams of this connection must end, because the connection or the server is closing.
    #[must_use]
    pub fn drain_token(&self) -> &CancellationToken {
        &self.0.drain
    }

    /// Returns the reservation budget shared by its calls, with `units` in all.
    pub(crate) fn budget(&self, units: usize) -> &Arc<Semaphore> {
        self.0
            .budget
            .get_or_init(|| Arc::new(Semaphore::new(units)))
    }

    /// Returns the semaphore of calls carried out at once, at most `most`.
    pub(crate) fn call_permits(&self, most: usize) -> &Arc<Semaphore> {
        self.0
            .call_permits
            .get_or_init(|| Arc::new(Semaphore::new(most)))
    }

    /// Counts a call as waiting for the peer until it takes the responses of its other calls.
    pub(crate) fn count_waiting(&self) -> WaitingGuard {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        WaitingGuard(self.clone())
    }

    /// Returns the number of open calls.
    pub(super) fn calls(&self) -> u32 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// True if there is an open call and every open call waits for the peer.
    pub(super) fn all_calls_wait(&self) -> bool {
        let calls = self.calls();
        calls > 0 && self.0.waiting.load(Ordering::Relaxed) >= calls
    }

    /// Returns the number of calls ever begun.
    pub(super) fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Returns the number of call frames sent and received.
    pub(super) fn moved(&self) -> u64 {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// Returns the number of writes that the socket took.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// True if the socket did not take the last write.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.is_blocked.load(Ordering::Relaxed)
    }

    pub(super) fn count_moved(&self, frames: u64) {
        self.0.moved.fetch_add(frames, Ordering::Relaxed);
    }

    /// Records whether everything written has left.
    pub(super) fn count_flush(&self, has_left: bool) {
        self.0.is_blocked.store(!has_left, Ordering::Relaxed);
    }

    pub(super) fn count_write(&self, was_taken: bool) {
        self.count_flush(was_taken);
        if was_taken {
            self.0.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests that the connection closes. Returns true if no reason as severe was given before.
    pub(super) fn request_close(&self, close_reason: CloseReason) -> bool {
        let before = self
            .0
            .close_reason
            .fetch_max(close_reason as u8, Ordering::AcqRel);
        let is_news = before < close_reason as u8;
        if is_news {
            self.0.close_notify.notify_one();
        }
        is_news
    }

    /// Returns the reason for closing, if there is one.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        match self.0.close_reason.load(Ordering::Acquire) {
            1 => Some(CloseReason::Aged),
            2 => Some(CloseReason::Idle),
            3 => Some(CloseReason::Unused),
            4 => Some(CloseReason::Uncertified),
            5 => Some(CloseReason::Stuck),
            6 => Some(CloseReason::Blocked),
            7 => Some(CloseReason::Flood),
            _ => None,
        }
    }

    /// Waits for the next reason for closing.
    pub(super) async fn close_requested(&self) -> CloseReason {
        loop {
            self.0.close_notify.notified().await;
            if let Some(close_reason) = self.close_reason() {
                return close_reason;
            }
        }
    }

    /// Begins a call, which stays open while the returned value lives.
    pub(super) fn begin(&self) -> OpenCall {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        OpenCall {
            peer: self.clone(),
            is_waiting: false,
        }
    }
}

/// Counts a call that is not carried out until the peer has taken something.
#[derive(Debug)]
pub(crate) struct WaitingGuard(Peer);

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open call.
#[derive(Debug)]
pub(super) struct OpenCall {
    peer: Peer,
    is_waiting: bool,
}

impl OpenCall {
    /// Sets whether the call waits for the peer to take its response.
    pub(super) fn set_waiting(&mut self, is_waiting: bool) {
        if self.is_waiting == is_waiting {
            return;
        }
        self.is_waiting = is_waiting;
        let waiting = &self.peer.0.waiting;
        if is_waiting {
            waiting.fetch_add(1, Ordering::Relaxed);
        } else {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.set_waiting(false);
        self.peer.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> Peer {
        Peer::new(([127, 0, 0, 1], 1).into(), None, CancellationToken::new())
    }

    #[test]
    fn a_worse_verdict_replaces_a_milder_one_and_not_the_other_way() {
        let peer = peer();
        assert_eq!(peer.close_reason(), None);
        assert!(peer.request_close(CloseReason::Aged));
        assert!(!peer.request_close(CloseReason::Aged));
        assert!(peer.request_close(CloseReason::Flood));
        assert!(!peer.request_close(CloseReason::Idle));
        assert_eq!(peer.close_reason(), Some(CloseReason::Flood));
    }

    #[test]
    fn a_connection_is_stuck_only_if_every_call_waits_for_the_peer() {
        let peer = peer();
        assert!(!peer.all_calls_wait(), "nothing is open");
        let (mut one, mut other) = (peer.begin(), peer.begin());
        one.set_waiting(true);
        one.set_waiting(true);
        assert!(!peer.all_calls_wait());
        other.set_waiting(true);
        assert!(peer.all_calls_wait());
        one.set_waiting(false);
        assert!(!peer.all_calls_wait());
        drop(one);
        assert!(peer.all_calls_wait(), "the one that is left waits");
        drop(other);
        assert_eq!((peer.calls(), peer.begun()), (0, 2));
    }
}
