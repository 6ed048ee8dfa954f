//! What a connection may do. Each limit names the setting that changes it to whoever runs into it.

use std::time::Duration;

/// What connections may do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address, or one /64 network of IPv6.
    pub connections_per_peer: usize,
    /// Longest that a TLS handshake may take.
    pub handshake: Duration,
    /// Longest from the beginning of a connection to its first call.
    pub first_request: Duration,
    /// Longest that a connection may be open without a call.
    pub idle_connection: Duration,
    /// How long a connection is open until it is ended gently, give or take a tenth.
    pub connection_age: Duration,
    /// How long its calls may go on after that.
    pub connection_grace: Duration,
    /// Longest that the socket may take nothing of what is sent.
    pub blocked_write: Duration,
    /// Longest that nothing may move while every open call waits for the peer to take what there is.
    pub stuck_calls: Duration,
    /// PING, SETTINGS, PRIORITY and unknown frames a second, and so many `WINDOW_UPDATE` beyond those for what was sent.
    pub control_frames_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            connections_per_peer: 256,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(10),
            idle_connection: Duration::from_mins(5),
            connection_age: Duration::from_hours(1),
            connection_grace: Duration::from_mins(5),
            blocked_write: Duration::from_mins(1),
            stuck_calls: Duration::from_mins(5),
            control_frames_per_second: 100,
        }
    }
}

impl Limits {
    /// The shortest time that is watched over: looks have to come more often.
    pub(super) fn shortest(&self) -> Duration {
        [
            self.first_request,
            self.idle_connection,
            self.connection_age,
            self.blocked_write,
            self.stuck_calls,
        ]
        .into_iter()
        .min()
        .unwrap_or_default()
    }

    pub(super) fn unused_words(&self) -> String {
        format!(
            "no request within {:?} (--first-request-seconds)",
            self.first_request
        )
    }

    pub(super) fn stuck_words(&self) -> String {
        format!(
            "no open call took anything for {:?} (--stuck-calls-seconds)",
            self.stuck_calls
        )
    }

    pub(super) fn blocked_words(&self) -> String {
        format!(
            "nothing of what is sent was taken for {:?} (--blocked-write-seconds)",
            self.blocked_write
        )
    }
}
