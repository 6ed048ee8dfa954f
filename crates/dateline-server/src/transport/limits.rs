//! Limits of connections, and the counter of all limits. The message of each limit names the flag that changes it.

use std::time::Duration;

/// Counts a limit that was hit. Its label is the flag's name, with underscores.
pub(crate) fn limit_hit(limit: &'static str) {
    metrics::counter!("dateline_limit_hits_total", "limit" => limit).increment(1);
}

/// Limits of connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum number of open connections from one address, or one /64 network of IPv6.
    pub max_connections_per_ip: usize,
    /// Maximum number of concurrent streams and calls on one connection.
    pub max_concurrent_streams: u32,
    /// Maximum time of a TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Maximum time from the start of a connection to its first call.
    pub first_request_timeout: Duration,
    /// Maximum time that a connection may have no open call.
    pub max_connection_idle: Duration,
    /// Maximum connection age (±10 %), then a graceful GOAWAY.
    pub max_connection_age: Duration,
    /// Time that open calls may continue after that.
    pub max_connection_age_grace: Duration,
    /// Maximum time in which the socket accepts no data.
    pub write_timeout: Duration,
    /// Maximum time in which no stream makes progress while every open call waits for the peer to read.
    pub stream_stall_timeout: Duration,
    /// PING, SETTINGS, PRIORITY and unknown frames a second, and so many `WINDOW_UPDATE` beyond those for what was
    /// sent.
    pub control_frames_per_second: u32,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_ip: 256,
            max_concurrent_streams: 256,
            tls_handshake_timeout: Duration::from_secs(10),
            first_request_timeout: Duration::from_secs(10),
            max_connection_idle: Duration::from_mins(5),
            max_connection_age: Duration::from_hours(1),
            max_connection_age_grace: Duration::from_mins(5),
            write_timeout: Duration::from_mins(1),
            stream_stall_timeout: Duration::from_mins(5),
            control_frames_per_second: 100,
        }
    }
}

impl ConnectionLimits {
    /// Returns the shortest of the checked limits: checks have to be more frequent.
    pub(super) fn shortest_timeout(&self) -> Duration {
        [
            self.first_request_timeout,
            self.max_connection_idle,
            self.max_connection_age,
            self.write_timeout,
            self.stream_stall_timeout,
        ]
        .into_iter()
        .min()
        .unwrap_or_default()
    }

    pub(super) fn unused_reason(&self) -> String {
        format!(
            "no request within {} (--first-request-timeout)",
            humantime::format_duration(self.first_request_timeout)
        )
    }

    pub(super) fn stuck_reason(&self) -> String {
        format!(
            "no open call read anything for {} (--stream-stall-timeout)",
            humantime::format_duration(self.stream_stall_timeout)
        )
    }

    pub(super) fn blocked_reason(&self) -> String {
        format!(
            "the socket accepted no data for {} (--write-timeout)",
            humantime::format_duration(self.write_timeout)
        )
    }
}
