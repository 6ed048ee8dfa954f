//! The flags of what clients may do. `docs/limits.md` has them all in one table; a test compares the two.

use std::{num::NonZeroU32, time::Duration};

use dateline_access::Quotas;
use dateline_server::{Limits, budget, edge};

/// What clients may do.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitsArgs {
    /// Largest request about one record, in bytes
    #[arg(long, env = "DATELINE_MESSAGE_BYTES", default_value_t = 2 * 1024 * 1024, value_name = "BYTES")]
    message_bytes: usize,
    /// Largest request about many records, in bytes
    #[arg(long, env = "DATELINE_BATCH_BYTES", default_value_t = 4 * 1024 * 1024, value_name = "BYTES")]
    batch_bytes: usize,
    /// Longest that a call may take until its answer begins, whatever its client allows
    #[arg(long, env = "DATELINE_DEADLINE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600), value_name = "S")]
    deadline_seconds: u64,
    /// Calls and streams at once on one connection
    #[arg(long, env = "DATELINE_STREAMS_PER_CONNECTION", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "N")]
    streams_per_connection: u32,
    /// Connections at once
    #[arg(long, env = "DATELINE_CONNECTIONS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    connections: u32,
    /// Connections at once from one address, or one /64 network of IPv6; proxies, and clients behind one, share theirs
    #[arg(long, env = "DATELINE_CONNECTIONS_PER_PEER", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    connections_per_peer: u32,
    /// Longest that a TLS handshake may take, in seconds
    #[arg(long, env = "DATELINE_HANDSHAKE_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600), value_name = "S")]
    handshake_seconds: u64,
    /// Longest from a connection to its first request, in seconds
    #[arg(long, env = "DATELINE_FIRST_REQUEST_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "S")]
    first_request_seconds: u64,
    /// Longest that a connection may be open without a call, in seconds
    #[arg(long, env = "DATELINE_IDLE_CONNECTION_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "S")]
    idle_connection_seconds: u64,
    /// Age at which a connection is ended gently, give or take a tenth, in seconds
    #[arg(long, env = "DATELINE_CONNECTION_AGE_SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=31_536_000), value_name = "S")]
    connection_age_seconds: u64,
    /// How long calls of such a connection may go on, in seconds
    #[arg(long, env = "DATELINE_CONNECTION_GRACE_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "S")]
    connection_grace_seconds: u64,
    /// Longest that a connection may take nothing of what is sent, in seconds
    #[arg(long, env = "DATELINE_BLOCKED_WRITE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "S")]
    blocked_write_seconds: u64,
    /// Longest that none of a connection's calls may take what there is for it, in seconds
    #[arg(long, env = "DATELINE_STUCK_CALLS_SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400), value_name = "S")]
    stuck_calls_seconds: u64,
    /// PING, SETTINGS, PRIORITY and unknown frames a second, ten times as many at once; and so many `WINDOW_UPDATE` beyond
    /// those for what was sent
    #[arg(long, env = "DATELINE_CONTROL_FRAMES_PER_SECOND", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "N")]
    control_frames_per_second: u32,
    /// Calls a second by the same credentials; 0 for no limit
    #[arg(
        long,
        env = "DATELINE_REQUESTS_PER_SECOND",
        default_value_t = 1000,
        value_name = "N"
    )]
    requests_per_second: u32,
    /// Open streams by the same credentials
    #[arg(
        long,
        env = "DATELINE_STREAMS_PER_IDENTITY",
        default_value_t = 1000,
        value_name = "N"
    )]
    streams_per_identity: usize,
    /// Open exports by the same credentials
    #[arg(
        long,
        env = "DATELINE_EXPORTS_PER_IDENTITY",
        default_value_t = 2,
        value_name = "N"
    )]
    exports_per_identity: usize,
    /// Credentials that are not known here, from one address in a second; ten times as many at once
    #[arg(
        long,
        env = "DATELINE_GUESSES_PER_SECOND",
        default_value = "10",
        value_name = "N"
    )]
    guesses_per_second: NonZeroU32,
    /// Open streams of all callers
    #[arg(
        long,
        env = "DATELINE_STREAMS",
        default_value_t = 20_000,
        value_name = "N"
    )]
    streams: usize,
    /// Open exports of all callers
    #[arg(long, env = "DATELINE_EXPORTS", default_value_t = 8, value_name = "N")]
    exports: usize,
    /// Bytes of requests and answers that wait on one connection; further answers are made once some are taken
    #[arg(long, env = "DATELINE_WAITING_BYTES_PER_CONNECTION", default_value_t = budget::Limits::default().connection, value_parser = waiting_bytes, value_name = "BYTES")]
    waiting_bytes_per_connection: usize,
    /// Bytes of requests and answers that wait by the same credentials
    #[arg(long, env = "DATELINE_WAITING_BYTES_PER_IDENTITY", default_value_t = budget::Limits::default().caller, value_parser = waiting_bytes, value_name = "BYTES")]
    waiting_bytes_per_identity: usize,
    /// Bytes of requests and answers that wait in all
    #[arg(long, env = "DATELINE_WAITING_BYTES", default_value_t = budget::Limits::default().process, value_parser = waiting_bytes, value_name = "BYTES")]
    waiting_bytes: usize,
}

/// A budget that holds at least the largest request and the largest answer.
fn waiting_bytes(text: &str) -> Result<usize, String> {
    const LEAST: usize = 8 * 1024 * 1024;
    match text.parse() {
        Ok(bytes) if bytes >= LEAST => Ok(bytes),
        Ok(_) => Err(format!("must be at least {LEAST}")),
        Err(_) => Err("must be a number of bytes".to_owned()),
    }
}

impl LimitsArgs {
    /// As the server takes them.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            message_bytes: self.message_bytes,
            batch_bytes: self.batch_bytes,
            deadline: Duration::from_secs(self.deadline_seconds),
            streams_per_connection: self.streams_per_connection,
            edge: edge::Limits {
                connections: self.connections as usize,
                connections_per_peer: self.connections_per_peer as usize,
                handshake: Duration::from_secs(self.handshake_seconds),
                first_request: Duration::from_secs(self.first_request_seconds),
                idle_connection: Duration::from_secs(self.idle_connection_seconds),
                connection_age: Duration::from_secs(self.connection_age_seconds),
                connection_grace: Duration::from_secs(self.connection_grace_seconds),
                blocked_write: Duration::from_secs(self.blocked_write_seconds),
                stuck_calls: Duration::from_secs(self.stuck_calls_seconds),
                control_frames_per_second: self.control_frames_per_second,
            },
            streams: self.streams,
            exports: self.exports,
            waiting: budget::Limits {
                connection: self.waiting_bytes_per_connection,
                caller: self.waiting_bytes_per_identity,
                process: self.waiting_bytes,
            },
        }
    }

    /// How much may go by the same credentials.
    pub(super) fn quotas(&self) -> Quotas {
        Quotas {
            requests_per_second: self.requests_per_second,
            streams: self.streams_per_identity,
            exports: self.exports_per_identity,
            guesses_per_second: self.guesses_per_second,
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
    fn what_is_not_said_is_as_the_server_has_it_by_itself() {
        let said = Alone::parse_from(["serve"]).limits.limits();
        assert_eq!(format!("{said:?}"), format!("{:?}", Limits::default()));
        let said = Alone::parse_from(["serve"]).limits.quotas();
        assert_eq!(format!("{said:?}"), format!("{:?}", Quotas::default()));
    }
}
