//! The configuration of a server. `dateline_serve` reads flags and `DATELINE_*` variables and converts them to it.

use std::{path::PathBuf, time::Duration};

use dateline_store::Settings;

use super::{
    middleware::budget,
    transport::{self, listen::Listen},
};

/// The database that holds the records.
#[derive(Debug)]
pub enum Database {
    /// An external Postgres. The URL may hold a password, so it is never printed.
    Url(String),
    /// A private Postgres, started for this server.
    Embedded(dateline_embedded_postgres::Options),
}

/// Most bytes of records that a server keeps in memory by default.
pub const DEFAULT_RECORD_CACHE_BYTES: usize = 64 * 1024 * 1024;

/// A server's settings.
#[derive(Debug)]
pub struct Config {
    /// Addresses of the gRPC listener; port 0 takes a free one.
    pub listen: Listen,
    /// The database that holds the records.
    pub database: Database,
    /// TLS files and settings; plain text without it.
    pub tls: Option<transport::TlsFiles>,
    /// Addresses of the metrics listener, if any.
    pub metrics: Option<Listen>,
    /// Settings of the database connections.
    pub store: Settings,
    /// Most bytes of records that are kept in memory; 0 for none.
    pub record_cache_bytes: usize,
    /// Limits for clients.
    pub limits: Limits,
    /// Settings of authentication and authorisation.
    pub access: dateline_access::Settings,
    /// File for an admin token, written at the start if no admin token is valid.
    pub bootstrap_token_file: Option<PathBuf>,
    /// True if clients may ask for the schema (reflection).
    pub reflection: bool,
    /// Longest silence on a stream before a checkpoint is sent.
    pub checkpoint_interval: Duration,
    /// Time that open calls may continue after the server is asked to stop.
    pub shutdown_grace_period: Duration,
}

/// Limits for the clients of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum size of a request about one record, in bytes.
    pub max_request_bytes: usize,
    /// Maximum size of a request about many records, in bytes.
    pub max_batch_request_bytes: usize,
    /// Maximum time until a response begins.
    pub request_timeout: Duration,
    /// Maximum number of open `Watch` streams of all callers.
    pub max_watches: usize,
    /// Maximum number of open exports of all callers.
    pub max_exports: usize,
    /// Maximum sizes of buffered requests and responses.
    pub buffers: budget::BufferLimits,
    /// Limits of connections.
    pub connections: transport::ConnectionLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_request_bytes: 2 * 1024 * 1024,
            max_batch_request_bytes: 4 * 1024 * 1024,
            request_timeout: Duration::from_mins(1),
            max_watches: 20_000,
            max_exports: 8,
            buffers: budget::BufferLimits::default(),
            connections: transport::ConnectionLimits::default(),
        }
    }
}
