//! Counts every limit hit, and logs at most one line per second and kind so that a flood cannot fill the log.

use std::{
    collections::HashMap,
    fmt::Display,
    net::SocketAddr,
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{limits::limit_hit, peer::Peer};

/// Shortest time between two lines of a kind.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The time of the last line of each kind, and the number of lines left out since.
static LOGGED: LazyLock<Mutex<HashMap<&'static str, (Instant, u64)>>> =
    LazyLock::new(Mutex::default);

/// Counts and logs a limit that a connection exceeded.
pub(super) fn log_limit(limit: &'static str, peer: &Peer, what: &str) {
    log_refusal(limit, peer.address(), &what);
}

/// Counts and logs a limit that a client without a connection exceeded.
pub(super) fn log_refusal(limit: &'static str, from: SocketAddr, what: &dyn Display) {
    limit_hit(limit);
    if let Some(left_out) = may_log(limit, Instant::now()) {
        tracing::warn!(limit, %from, left_out, "{what}; the connection is closed");
    }
}

/// Logs, at most once per second, another event that a peer can cause as often as it likes.
pub(super) fn log_throttled(kind: &'static str, log: impl FnOnce(u64)) {
    if let Some(left_out) = may_log(kind, Instant::now()) {
        log(left_out);
    }
}

/// Returns the number of lines left out since the last one if a line of this kind may be logged, else `None`.
fn may_log(kind: &'static str, now: Instant) -> Option<u64> {
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((at, left_out)) = logged.get_mut(kind) else {
        logged.insert(kind, (now, 0));
        return Some(0);
    };
    if now.duration_since(*at) < LOG_INTERVAL {
        *left_out += 1;
        return None;
    }
    *at = now;
    Some(std::mem::take(left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_logged_once_a_second_and_what_was_left_out_is_counted() {
        let now = Instant::now();
        assert_eq!(may_log("test", now), Some(0));
        for _ in 0..10_000 {
            assert_eq!(may_log("test", now + LOG_INTERVAL / 2), None);
        }
        assert_eq!(may_log("another", now), Some(0));
        assert_eq!(may_log("test", now + LOG_INTERVAL), Some(10_000));
        assert_eq!(may_log("test", now + LOG_INTERVAL * 2), Some(0));
    }
}
