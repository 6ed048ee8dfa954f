//! How a server is set up. Flags and `DATELINE_*` variables are read by `cli::serve`; this is what they
//! come to.

use std::{path::PathBuf, time::Duration};

use dateline_store::Settings;

use super::{budget, edge, listen::Listen};

/// Where the records are kept.
#[derive(Debug)]
pub enum Database {
    /// A Postgres that somebody else runs. The URL may hold a password, so it is never printed.
    Url(String),
    /// A private one, started for this server.
    Embedded(dateline_embedded_postgres::Options),
}

/// A server's settings.
#[derive(Debug)]
pub struct Config {
    /// Where gRPC is served; port 0 takes a free one.
    pub listen: Listen,
    /// Where the records are kept.
    pub database: Database,
    /// Where TLS comes from; plain text without it.
    pub tls: Option<edge::TlsFiles>,
    /// Where metrics are served, if anywhere.
    pub metrics: Option<Listen>,
    /// How the database is used.
    pub store: Settings,
    /// What clients may ask of it.
    pub limits: Limits,
    /// Who is let in.
    pub access: dateline_access::Settings,
    /// Where the token of the first admin is written, if there is none yet.
    pub first_token_file: Option<PathBuf>,
    /// Whether clients may ask for the schema.
    pub reflection: bool,
    /// Longest silence on a stream.
    pub checkpoint_interval: Duration,
    /// How long open calls may go on once the server is told to stop.
    pub shutdown_grace: Duration,
}

/// What clients may ask of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest message of a call about one record, in bytes.
    pub message_bytes: usize,
    /// Largest message of a call about many records, in bytes.
    pub batch_bytes: usize,
    /// Longest that a call may take until its answer begins, whatever its client allows.
    pub deadline: Duration,
    /// Streams and calls at once on one connection.
    pub streams_per_connection: u32,
    /// Streams of all callers at once.
    pub streams: usize,
    /// Exports of all callers at once.
    pub exports: usize,
    /// Bytes of requests and answers that wait.
    pub waiting: budget::Limits,
    /// What connections may do.
    pub edge: edge::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 2 * 1024 * 1024,
            batch_bytes: 4 * 1024 * 1024,
            deadline: Duration::from_mins(1),
            streams_per_connection: 256,
            streams: 20_000,
            exports: 8,
            waiting: budget::Limits::default(),
            edge: edge::Limits::default(),
        }
    }
}
