//! The limits of clients, as flags of `dateline serve`. `docs/limits.md` lists them in a table; a test compares the
//! two.

use std::{num::NonZeroU32, time::Duration};

use dateline_access::Quotas;
use dateline_server::{Limits, middleware::budget, transport};

use super::duration::{DAY, HOUR, MINUTE, SECOND, between};

/// Limits of clients.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitsArgs {
    /// Maximum size of a request about one record, in bytes
    #[arg(long, env = "DATELINE_MAX_REQUEST_BYTES", default_value_t = 2 * 1024 * 1024, value_name = "BYTES")]
    max_request_bytes: usize,
    /// Maximum size of a request about many records, in bytes
    #[arg(long, env = "DATELINE_MAX_BATCH_REQUEST_BYTES", default_value_t = 4 * 1024 * 1024, value_name = "BYTES")]
    max_batch_request_bytes: usize,
    /// Maximum time until a response begins; a shorter deadline of the client still applies
    #[arg(long, env = "DATELINE_REQUEST_TIMEOUT", default_value = "1m", value_parser = between(SECOND, HOUR), value_name = "DURATION")]
    request_timeout: Duration,
    /// Maximum number of concurrent calls and streams on one connection
    #[arg(long, env = "DATELINE_MAX_CONCURRENT_STREAMS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    max_concurrent_streams: u32,
    /// Maximum number of open connections
    #[arg(long, env = "DATELINE_MAX_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    max_connections: u32,
    /// Maximum number of open connections from one IP address, or one /64 network of IPv6. Clients behind one proxy
    /// share it
    #[arg(long, env = "DATELINE_MAX_CONNECTIONS_PER_IP", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    max_connections_per_ip: u32,
    /// Maximum time of a TLS handshake
    #[arg(long, env = "DATELINE_TLS_HANDSHAKE_TIMEOUT", default_value = "10s", value_parser = between(SECOND, 10 * MINUTE), value_name = "DURATION")]
    tls_handshake_timeout: Duration,
    /// Maximum time from the start of a connection to its first request
    #[arg(long, env = "DATELINE_FIRST_REQUEST_TIMEOUT", default_value = "10s", value_parser = between(SECOND, DAY), value_name = "DURATION")]
    first_request_timeout: Duration,
    /// Maximum time that a connection may have no open call
    #[arg(long, env = "DATELINE_MAX_CONNECTION_IDLE", default_value = "5m", value_parser = between(SECOND, DAY), value_name = "DURATION")]
    max_connection_idle: Duration,
    /// Maximum connection age (±10 %), then a graceful GOAWAY
    #[arg(long, env = "DATELINE_MAX_CONNECTION_AGE", default_value = "1h", value_parser = between(SECOND, 365 * DAY), value_name = "DURATION")]
    max_connection_age: Duration,
    /// Time that open calls may continue after the maximum connection age
    #[arg(long, env = "DATELINE_MAX_CONNECTION_AGE_GRACE", default_value = "5m", value_parser = between(SECOND, DAY), value_name = "DURATION")]
    max_connection_age_grace: Duration,
    /// Close a connection after its socket has accepted no data for this long
    #[arg(long, env = "DATELINE_WRITE_TIMEOUT", default_value = "1m", value_parser = between(SECOND, DAY), value_name = "DURATION")]
    write_timeout: Duration,
    /// Close a connection after no stream on it has read any data for this long
    #[arg(long, env = "DATELINE_STREAM_STALL_TIMEOUT", default_value = "5m", value_parser = between(SECOND, DAY), value_name = "DURATION")]
    stream_stall_timeout: Duration,
    /// Maximum number of PING, SETTINGS, PRIORITY and unknown frames per second on one connection, with bursts of ten
    /// times as many; the same for `WINDOW_UPDATE` frames beyond those that the data sent requires
    #[arg(long, env = "DATELINE_CONTROL_FRAMES_PER_SECOND", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    control_frames_per_second: u32,
    /// Maximum number of calls per second of one identity; 0 for no limit
    #[arg(
        long,
        env = "DATELINE_REQUESTS_PER_SECOND",
        default_value_t = 1000,
        value_name = "N"
    )]
    requests_per_second: u32,
    /// Maximum number of open `Watch` streams of one identity
    #[arg(
        long,
        env = "DATELINE_MAX_WATCHES_PER_IDENTITY",
        default_value_t = 1000,
        value_name = "N"
    )]
    max_watches_per_identity: usize,
    /// Maximum number of open exports of one identity
    #[arg(
        long,
        env = "DATELINE_MAX_EXPORTS_PER_IDENTITY",
        default_value_t = 2,
        value_name = "N"
    )]
    max_exports_per_identity: usize,
    /// Maximum number of unknown credentials per second from one IP address, with bursts of ten times as many
    #[arg(
        long,
        env = "DATELINE_AUTH_ATTEMPTS_PER_SECOND",
        default_value = "10",
        value_name = "N"
    )]
    auth_attempts_per_second: NonZeroU32,
    /// Maximum number of open `Watch` streams of all callers
    #[arg(
        long,
        env = "DATELINE_MAX_WATCHES",
        default_value_t = 20_000,
        value_name = "N"
    )]
    max_watches: usize,
    /// Maximum number of open exports of all callers
    #[arg(
        long,
        env = "DATELINE_MAX_EXPORTS",
        default_value_t = 8,
        value_name = "N"
    )]
    max_exports: usize,
    /// Maximum size of buffered requests and responses on one connection, in bytes; further responses wait until some
    /// are read
    #[arg(long, env = "DATELINE_MAX_BUFFERED_BYTES_PER_CONNECTION", default_value_t = budget::BufferLimits::default().max_buffered_bytes_per_connection, value_parser = buffered_bytes, value_name = "BYTES")]
    max_buffered_bytes_per_connection: usize,
    /// Maximum size of buffered requests and responses of one identity, in bytes
    #[arg(long, env = "DATELINE_MAX_BUFFERED_BYTES_PER_IDENTITY", default_value_t = budget::BufferLimits::default().max_buffered_bytes_per_identity, value_parser = buffered_bytes, value_name = "BYTES")]
    max_buffered_bytes_per_identity: usize,
    /// Maximum size of all buffered requests and responses, in bytes
    #[arg(long, env = "DATELINE_MAX_BUFFERED_BYTES", default_value_t = budget::BufferLimits::default().max_buffered_bytes, value_parser = buffered_bytes, value_name = "BYTES")]
    max_buffered_bytes: usize,
}

/// Parses a budget, which must hold the largest request and the largest response.
fn buffered_bytes(text: &str) -> Result<usize, String> {
    const LEAST: usize = 8 * 1024 * 1024;
    match text.parse() {
        Ok(bytes) if bytes >= LEAST => Ok(bytes),
        Ok(_) => Err(format!("must be at least {LEAST}")),
        Err(_) => Err("must be a number of bytes".to_owned()),
    }
}

impl LimitsArgs {
    /// Returns the limits of connections and calls.
    pub fn limits(&self) -> Limits {
        Limits {
            max_request_bytes: self.max_request_bytes,
            max_batch_request_bytes: self.max_batch_request_bytes,
            request_timeout: self.request_timeout,
            connections: transport::ConnectionLimits {
                max_connections: self.max_connections as usize,
                max_connections_per_ip: self.max_connections_per_ip as usize,
                max_concurrent_streams: self.max_concurrent_streams,
                tls_handshake_timeout: self.tls_handshake_timeout,
                first_request_timeout: self.first_request_timeout,
                max_connection_idle: self.max_connection_idle,
                max_connection_age: self.max_connection_age,
                max_connection_age_grace: self.max_connection_age_grace,
                write_timeout: self.write_timeout,
                stream_stall_timeout: self.stream_stall_timeout,
                control_frames_per_second: self.control_frames_per_second,
            },
            max_watches: self.max_watches,
            max_exports: self.max_exports,
            buffers: budget::BufferLimits {
                max_buffered_bytes_per_connection: self.max_buffered_bytes_per_connection,
                max_buffered_bytes_per_identity: self.max_buffered_bytes_per_identity,
                max_buffered_bytes: self.max_buffered_bytes,
            },
        }
    }

    /// Returns the limits of one identity.
    pub fn quotas(&self) -> Quotas {
        Quotas {
            requests_per_second: self.requests_per_second,
            max_watches: self.max_watches_per_identity,
            max_exports: self.max_exports_per_identity,
            auth_attempts_per_second: self.auth_attempts_per_second,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        limits: LimitsArgs,
    }

    #[test]
    fn defaults_of_flags_are_those_of_the_server() {
        let said = Alone::parse_from(["serve"]).limits.limits();
        assert_eq!(format!("{said:?}"), format!("{:?}", Limits::default()));
        let said = Alone::parse_from(["serve"]).limits.quotas();
        assert_eq!(format!("{said:?}"), format!("{:?}", Quotas::default()));
    }
}
