//! The open connections of a server: how many, from which address, and since when they are idle or stuck. One task
//! checks all of them every few seconds, so that an idle connection costs nothing.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    limits::{ConnectionLimits, limit_hit},
    log_throttle,
    peer::{CloseReason, Peer},
};

/// Longest interval between two checks.
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The connections of a server; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: ConnectionLimits,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    next: u64,
    /// Connections with a peer, after the handshake.
    entries: HashMap<u64, TrackedConnection>,
    by_source: HashMap<IpAddr, usize>,
    count: usize,
}

/// A slot among the connections, given back when it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    registry: Registry,
    id: u64,
    source: IpAddr,
}

/// Reason for refusing a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooManyConnections {
    /// The server has this many, the maximum.
    Server(usize),
    /// The address has this many, the maximum per address.
    Source(usize),
}

impl TooManyConnections {
    /// Returns the name of the limit in the metrics.
    pub(super) fn limit(self) -> &'static str {
        match self {
            TooManyConnections::Server(_) => "max_connections",
            TooManyConnections::Source(_) => "max_connections_per_ip",
        }
    }
}

impl std::fmt::Display for TooManyConnections {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TooManyConnections::Server(most) => {
                write!(out, "too many connections: {most} (--max-connections)")
            }
            TooManyConnections::Source(most) => write!(
                out,
                "too many connections from one address: {most} (--max-connections-per-ip)"
            ),
        }
    }
}

/// The last observed counters of a connection, and since when they are unchanged.
#[derive(Debug)]
struct TrackedConnection {
    peer: Peer,
    /// Time at which it reaches its maximum age.
    ages_at: Instant,
    opened: Instant,
    /// Calls begun plus call frames.
    active: (u64, Instant),
    /// Call frames, while every call waits for the peer.
    stuck: Option<(u64, Instant)>,
    /// Writes, while the socket takes none.
    blocked: Option<(u64, Instant)>,
}

impl Registry {
    pub(super) fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            open: Mutex::default(),
        }))
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a connection.
    ///
    /// # Errors
    /// The limit that is reached.
    pub(super) fn acquire(&self, address: IpAddr) -> Result<ConnectionPermit, TooManyConnections> {
        let source = source(address);
        let limits = &self.0.limits;
        let mut open = self.open();
        if open.count >= limits.max_connections {
            return Err(TooManyConnections::Server(limits.max_connections));
        }
        let from_there = open.by_source.entry(source).or_default();
        if *from_there >= limits.max_connections_per_ip {
            return Err(TooManyConnections::Source(limits.max_connections_per_ip));
        }
        *from_there += 1;
        open.count += 1;
        open.next += 1;
        metrics::gauge!("dateline_connections").set(open.count as f64);
        Ok(ConnectionPermit {
            registry: self.clone(),
            id: open.next,
            source,
        })
    }

    /// Checks all connections at an interval, without end.
    pub(super) async fn run_checks(&self) {
        let shortest = self.0.limits.shortest_timeout();
        let interval = (shortest / 4).clamp(Duration::from_millis(10), MAX_CHECK_INTERVAL);
        loop {
            tokio::time::sleep(interval).await;
            self.check(Instant::now());
        }
    }

    fn check(&self, now: Instant) {
        let limits = &self.0.limits;
        for entry in self.open().entries.values_mut() {
            let Some(close_reason) = entry.check(now, limits) else {
                continue;
            };
            if entry.peer.request_close(close_reason) {
                report_close(&entry.peer, close_reason, limits);
            }
        }
    }
}

/// Counts the limit that closes a connection. Closing for age or idleness is expected: counted, not logged.
fn report_close(peer: &Peer, close_reason: CloseReason, limits: &ConnectionLimits) {
    match close_reason {
        CloseReason::Aged => limit_hit("max_connection_age"),
        CloseReason::Idle => limit_hit("max_connection_idle"),
        CloseReason::Unused => {
            log_throttle::log_limit("first_request_timeout", peer, &limits.unused_reason());
        }
        CloseReason::Stuck => {
            log_throttle::log_limit("stream_stall_timeout", peer, &limits.stuck_reason());
        }
        CloseReason::Blocked => {
            log_throttle::log_limit("write_timeout", peer, &limits.blocked_reason());
        }
        CloseReason::Uncertified | CloseReason::Flood => {}
    }
}

impl ConnectionPermit {
    /// Starts checking the connection.
    pub(super) fn track(&self, peer: Peer) {
        let now = Instant::now();
        let age = self.registry.0.limits.max_connection_age;
        let entry = TrackedConnection {
            peer,
            ages_at: now + age.mul_f64(jitter()),
            opened: now,
            active: (0, now),
            stuck: None,
            blocked: None,
        };
        self.registry.open().entries.insert(self.id, entry);
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut open = self.registry.open();
        open.entries.remove(&self.id);
        open.count = open.count.saturating_sub(1);
        if let Some(count) = open.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.by_source.remove(&self.source);
            }
        }
        metrics::gauge!("dateline_connections").set(open.count as f64);
    }
}

impl TrackedConnection {
    /// Updates the entry. Returns the reason for closing the connection, if there is one.
    fn check(&mut self, now: Instant, limits: &ConnectionLimits) -> Option<CloseReason> {
        let peer = &self.peer;
        let (moved, calls) = (peer.moved(), peer.calls());
        let activity = moved + peer.begun();
        if calls > 0 || activity != self.active.0 {
            self.active = (activity, now);
        }
        let is_longer = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        let blocked = peer.is_blocked().then(|| peer.written());
        if is_longer(
            unchanged_since(&mut self.blocked, blocked, now),
            limits.write_timeout,
        ) {
            return Some(CloseReason::Blocked);
        }
        let stuck = peer.all_calls_wait().then_some(moved);
        if is_longer(
            unchanged_since(&mut self.stuck, stuck, now),
            limits.stream_stall_timeout,
        ) {
            return Some(CloseReason::Stuck);
        }
        if peer.begun() == 0 && is_longer(self.opened, limits.first_request_timeout) {
            return Some(CloseReason::Unused);
        }
        if calls == 0 && is_longer(self.active.1, limits.max_connection_idle) {
            return Some(CloseReason::Idle);
        }
        let certificate = peer.certificate();
        if certificate.is_some_and(|it| it.end_reason().is_some()) {
            return Some(CloseReason::Uncertified);
        }
        (now >= self.ages_at).then_some(CloseReason::Aged)
    }
}

/// Returns the time since which a number is unchanged: `now` if it has changed, or if there is none.
fn unchanged_since(
    seen: &mut Option<(u64, Instant)>,
    number: Option<u64>,
    now: Instant,
) -> Instant {
    match (&*seen, number) {
        (Some((before, since)), Some(number)) if *before == number => *since,
        (_, number) => {
            *seen = number.map(|number| (number, now));
            now
        }
    }
}

/// Returns the address to count by. For IPv6 it is the /64 network, since one subscriber has all of it.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Returns a random factor between 0.9 and 1.1, so that connections opened together do not all return together.
fn jitter() -> f64 {
    // The last byte of a UUIDv7 is random.
    0.9 + f64::from(Uuid::now_v7().as_bytes()[15]) / 1275.0
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> ConnectionLimits {
        ConnectionLimits {
            max_connections: 3,
            max_connections_per_ip: 2,
            ..ConnectionLimits::default()
        }
    }

    #[test]
    fn places_are_limited_in_all_and_by_source_and_are_given_back() {
        let registry = Registry::new(limits());
        let acquire = |address: &str| registry.acquire(address.parse().unwrap());
        let one = acquire("10.0.0.1").unwrap();
        let two = acquire("::ffff:10.0.0.1").unwrap();
        assert_eq!(
            acquire("10.0.0.1").unwrap_err(),
            TooManyConnections::Source(2)
        );
        let three = acquire("2001:db8::1").unwrap();
        assert_eq!(
            acquire("10.0.0.3").unwrap_err(),
            TooManyConnections::Server(3)
        );
        drop(one);
        let _four = acquire("2001:db8::2").unwrap();
        drop(three);
        let _five = acquire("2001:db8::3:1").unwrap();
        assert_eq!(registry.open().count, 3);
        drop(two);
        let full = acquire("2001:db8::4").unwrap_err();
        assert_eq!(full, TooManyConnections::Source(2), "the same network");
        assert!(full.to_string().contains("--max-connections-per-ip"));
    }

    fn entry(now: Instant) -> TrackedConnection {
        let address = ([127, 0, 0, 1], 1).into();
        TrackedConnection {
            peer: Peer::new(address, None, CancellationToken::new()),
            ages_at: now + Duration::from_hours(1),
            opened: now,
            active: (0, now),
            stuck: None,
            blocked: None,
        }
    }

    #[test]
    fn a_connection_without_a_first_request_is_unused_and_one_without_a_next_is_idle() {
        let (now, limits) = (Instant::now(), ConnectionLimits::default());
        let mut entry = entry(now);
        let check =
            |entry: &mut TrackedConnection, seconds| entry.check(now + SECOND * seconds, &limits);
        assert_eq!(check(&mut entry, 9), None);
        assert_eq!(check(&mut entry, 10), Some(CloseReason::Unused));
        let call = entry.peer.begin();
        assert_eq!(check(&mut entry, 400), None, "the call is open");
        drop(call);
        assert_eq!(check(&mut entry, 699), None);
        entry.peer.count_moved(1);
        assert_eq!(check(&mut entry, 800), None, "what was sent was taken");
        assert_eq!(check(&mut entry, 1099), None);
        assert_eq!(check(&mut entry, 1100), Some(CloseReason::Idle));
    }

    #[test]
    fn a_connection_is_stuck_when_nothing_moves_while_all_calls_wait() {
        let (now, limits) = (Instant::now(), ConnectionLimits::default());
        let mut entry = entry(now);
        let check =
            |entry: &mut TrackedConnection, seconds| entry.check(now + SECOND * seconds, &limits);
        let mut call = entry.peer.begin();
        assert_eq!(check(&mut entry, 1000), None, "it is quiet, not stuck");
        call.set_waiting(true);
        assert_eq!(check(&mut entry, 1001), None);
        assert_eq!(check(&mut entry, 1300), None);
        entry.peer.count_moved(1);
        assert_eq!(check(&mut entry, 1301), None, "something moved");
        assert_eq!(check(&mut entry, 1600), None);
        assert_eq!(check(&mut entry, 1601), Some(CloseReason::Stuck));
    }

    #[test]
    fn a_write_that_is_not_taken_for_a_minute_ends_the_connection() {
        let (now, limits) = (Instant::now(), ConnectionLimits::default());
        let mut entry = entry(now);
        let check =
            |entry: &mut TrackedConnection, seconds| entry.check(now + SECOND * seconds, &limits);
        let _call = entry.peer.begin();
        entry.peer.count_write(false);
        assert_eq!(check(&mut entry, 1), None);
        assert_eq!(check(&mut entry, 60), None);
        entry.peer.count_write(true);
        entry.peer.count_write(false);
        assert_eq!(check(&mut entry, 61), None, "a little was taken");
        assert_eq!(check(&mut entry, 121), Some(CloseReason::Blocked));
        entry.peer.count_write(true);
        assert_eq!(check(&mut entry, 122), None);
    }

    #[test]
    fn age_is_jittered_and_comes_last() {
        let now = Instant::now();
        let mut entry = entry(now);
        let _call = entry.peer.begin();
        let limits = ConnectionLimits::default();
        assert_eq!(entry.check(now + SECOND * 3599, &limits), None);
        assert_eq!(
            entry.check(now + SECOND * 3600, &limits),
            Some(CloseReason::Aged)
        );
        for _ in 0..1000 {
            assert!((0.9..=1.1).contains(&jitter()));
        }
    }
}
