//! A private Postgres for machines without one that is set up: found or fetched, initialised, started, supervised and
//! stopped by this crate. Its callers only ever see the URL.
//!
//! Guarantees:
//!
//! 1. One server per data directory. A lock is held for as long as the server runs, and processes that an earlier owner
//!    left running are stopped before a new server starts.
//! 2. The server ends with its owner, even if the owner is killed; a server that dies while its owner lives is
//!    restarted. Neither needs manual action, and neither loses a committed row.
//! 3. The server listens on a Unix socket in a directory that only its owner may enter, and nowhere else.
//! 4. Nothing is written outside the data directory, except the socket of a data directory whose path is too long for
//!    one, and the cache of fetched programs. A directory that is not ours is not changed.
//!
//! This crate knows nothing of schemas, migrations, pools, or the data in the cluster.

mod binaries;
mod child;
mod cluster;
mod database;
mod directory;
mod error;
mod fetch;
mod identity;
mod initdb;
pub mod launcher;
mod log;
mod options;
mod ownership;
mod process;
mod run_as;
mod server;
mod socket;
mod stale_processes;

pub use binaries::OLDEST_MAJOR;
pub use cluster::{Cluster, ClusterState};
pub use database::{DATABASE, ensure_database};
pub use error::Error;
pub use options::{BinarySource, Options, this_program};
