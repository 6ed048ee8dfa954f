//! Who is at the other end of a connection, and what the connection is doing. Counters only: they are counted where
//! bytes and calls pass, without a clock, and judged by [`super::registry`], which has one.

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

/// The other end of a connection; cheap to clone. Every request carries it among its extensions.
#[derive(Debug, Clone)]
pub struct Peer(Arc<State>);

#[derive(Debug)]
struct State {
    address: SocketAddr,
    certificate: Option<Arc<ClientCertificate>>,
    going: CancellationToken,
    calls: AtomicU32,
    /// Calls whose next frame waits for the peer to take the one before.
    waiting: AtomicU32,
    begun: AtomicU64,
    moved: AtomicU64,
    written: AtomicU64,
    is_blocked: AtomicBool,
    verdict: AtomicU8,
    judged: Notify,
    budget: OnceLock<Arc<Semaphore>>,
    turns: OnceLock<Arc<Semaphore>>,
}

/// Why a connection is ended, mildest first: what is worse follows what is milder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Verdict {
    /// It has been open for long enough.
    Aged = 1,
    /// It has had no call for a while.
    Idle,
    /// It never had one.
    Unused,
    /// The certificate of its client has ended.
    Uncertified,
    /// None of its calls takes what is sent.
    Stuck,
    /// What is sent does not even leave.
    Blocked,
    /// It sends what nobody needs.
    Flood,
}

impl Peer {
    /// A peer whose streams end with `going`.
    pub(super) fn new(
        address: SocketAddr,
        certificate: Option<Arc<ClientCertificate>>,
        going: CancellationToken,
    ) -> Self {
        Self(Arc::new(State {
            address,
            certificate,
            going,
            calls: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            begun: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            written: AtomicU64::new(0),
            is_blocked: AtomicBool::new(false),
            verdict: AtomicU8::new(0),
            judged: Notify::new(),
            budget: OnceLock::new(),
            turns: OnceLock::new(),
        }))
    }

    /// Where it connects from.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Its verified certificate, if it has shown one.
    #[must_use]
    pub fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.0.certificate.as_ref()
    }

    /// Cancelled when streams of this connection have to end, because it or the server goes away.
    #[must_use]
    pub fn going(&self) -> &CancellationToken {
        &self.0.going
    }

    /// What its calls may hold together, in units of which there are so many.
    pub(crate) fn budget(&self, units: usize) -> &Arc<Semaphore> {
        self.0
            .budget
            .get_or_init(|| Arc::new(Semaphore::new(units)))
    }

    /// Turns of its calls, of which there are so many at once.
    pub(crate) fn turns(&self, most: usize) -> &Arc<Semaphore> {
        self.0.turns.get_or_init(|| Arc::new(Semaphore::new(most)))
    }

    /// Counts a call as waiting for the peer, which has not taken what others of its calls were given.
    pub(crate) fn wait(&self) -> Waiting {
        self.0.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self.clone())
    }

    /// Calls that are open.
    pub(super) fn calls(&self) -> u32 {
        self.0.calls.load(Ordering::Relaxed)
    }

    /// Whether every open call waits for the peer, and there is one.
    pub(super) fn all_wait(&self) -> bool {
        let calls = self.calls();
        calls > 0 && self.0.waiting.load(Ordering::Relaxed) >= calls
    }

    /// Calls that were ever begun.
    pub(super) fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Frames of calls that went either way.
    pub(super) fn moved(&self) -> u64 {
        self.0.moved.load(Ordering::Relaxed)
    }

    /// Writes that the socket took.
    pub(super) fn written(&self) -> u64 {
        self.0.written.load(Ordering::Relaxed)
    }

    /// Whether the last write was not taken.
    pub(super) fn is_blocked(&self) -> bool {
        self.0.is_blocked.load(Ordering::Relaxed)
    }

    pub(super) fn count_moved(&self, frames: u64) {
        self.0.moved.fetch_add(frames, Ordering::Relaxed);
    }

    /// Whether all that was written has left.
    pub(super) fn count_flush(&self, has_left: bool) {
        self.0.is_blocked.store(!has_left, Ordering::Relaxed);
    }

    pub(super) fn count_write(&self, was_taken: bool) {
        self.count_flush(was_taken);
        if was_taken {
            self.0.written.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Judges the connection. Answers whether this is news.
    pub(super) fn judge(&self, verdict: Verdict) -> bool {
        let before = self.0.verdict.fetch_max(verdict as u8, Ordering::AcqRel);
        let is_news = before < verdict as u8;
        if is_news {
            self.0.judged.notify_one();
        }
        is_news
    }

    /// The verdict, if there is one.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        match self.0.verdict.load(Ordering::Acquire) {
            1 => Some(Verdict::Aged),
            2 => Some(Verdict::Idle),
            3 => Some(Verdict::Unused),
            4 => Some(Verdict::Uncertified),
            5 => Some(Verdict::Stuck),
            6 => Some(Verdict::Blocked),
            7 => Some(Verdict::Flood),
            _ => None,
        }
    }

    /// Waits for the next verdict.
    pub(super) async fn judged(&self) -> Verdict {
        loop {
            self.0.judged.notified().await;
            if let Some(verdict) = self.verdict() {
                return verdict;
            }
        }
    }

    /// Begins a call, which is open for as long as the answer lives.
    pub(super) fn begin(&self) -> Call {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        Call {
            peer: self.clone(),
            is_waiting: false,
        }
    }
}

/// A call that is not carried out before the peer has taken something.
#[derive(Debug)]
pub(crate) struct Waiting(Peer);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open call.
#[derive(Debug)]
pub(super) struct Call {
    peer: Peer,
    is_waiting: bool,
}

impl Call {
    /// Says whether the call waits for the peer to take what it was given.
    pub(super) fn wait(&mut self, is_waiting: bool) {
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

impl Drop for Call {
    fn drop(&mut self) {
        self.wait(false);
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
        assert_eq!(peer.verdict(), None);
        assert!(peer.judge(Verdict::Aged));
        assert!(!peer.judge(Verdict::Aged));
        assert!(peer.judge(Verdict::Flood));
        assert!(!peer.judge(Verdict::Idle));
        assert_eq!(peer.verdict(), Some(Verdict::Flood));
    }

    #[test]
    fn a_connection_is_stuck_only_if_every_call_waits_for_the_peer() {
        let peer = peer();
        assert!(!peer.all_wait(), "nothing is open");
        let (mut one, mut other) = (peer.begin(), peer.begin());
        one.wait(true);
        one.wait(true);
        assert!(!peer.all_wait());
        other.wait(true);
        assert!(peer.all_wait());
        one.wait(false);
        assert!(!peer.all_wait());
        drop(one);
        assert!(peer.all_wait(), "the one that is left waits");
        drop(other);
        assert_eq!((peer.calls(), peer.begun()), (0, 2));
    }
}
