//! A private Postgres for people who have not set one up: found or fetched, made, started, watched and
//! stopped by us. The rest of the store only ever sees the URL.
//!
//! What it promises:
//!
//! 1. One server per data directory. A lock is held for as long as the server runs, and whatever an
//!    earlier owner left running is stopped before a new server starts.
//! 2. The server ends with its owner, also when the owner is killed; a server that dies while its owner
//!    lives is started again. Neither needs a hand, and neither loses a committed row.
//! 3. It listens on a Unix socket in a directory that only its owner may enter, and nowhere else.
//! 4. Nothing outside the data directory is written, but for the socket of a data directory whose path is
//!    too long for one, and the cache of fetched programs. A directory that is not ours is left alone.
//!
//! What it does not know: schemas, migrations, pools, and everything else about the data in it.

mod child;
mod cluster;
mod database;
mod directory;
mod error;
mod fetch;
mod identity;
mod initialise;
pub mod keeper;
mod log;
mod ownership;
mod programs;
mod residents;
mod server;
mod socket;

use std::io::IsTerminal;
use std::path::PathBuf;

pub use cluster::{Cluster, State};
pub use database::ensure_database;
pub use directory::Holder;
pub use error::Error;

/// The database that messages name when they tell somebody how to connect.
pub const DATABASE: &str = "dateline";

/// The oldest major version of Postgres that is looked at.
pub const OLDEST_MAJOR: u32 = 13;

/// What to start, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the cluster, its log and its lock live. Made when absent; refused when it holds something else.
    pub data_dir: PathBuf,
    /// The `dateline` executable, which starts the server programs through [`keeper`].
    pub launcher: PathBuf,
    /// Where to look for the server programs.
    pub programs: ProgramsFrom,
    /// `false` gives up crash safety for speed: for tests only.
    pub durable: bool,
    /// Where fetched server programs are kept, for every data directory of this user.
    pub cache_dir: PathBuf,
    /// Draw on stderr while the programs are fetched.
    pub progress: bool,
    /// The account to run Postgres under when we are root, rather than a user namespace.
    pub account: Option<String>,
    /// Who holds the directory, in words for the next one who wants it: `dateline serve`.
    pub purpose: String,
}

/// Where the server programs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProgramsFrom {
    /// `PG_BIN_DIR`, else the usual places, else the npm package.
    Auto,
    /// This directory and no other.
    Dir(PathBuf),
    /// The npm package, whatever else is there.
    Npm,
}

impl Options {
    /// The ordinary choice: crash-safe, programs found by themselves, and fetched into the cache when there are none.
    pub fn new(data_dir: impl Into<PathBuf>, launcher: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            launcher: launcher.into(),
            programs: ProgramsFrom::Auto,
            durable: true,
            cache_dir: default_cache_dir(),
            progress: std::io::stderr().is_terminal(),
            account: None,
            purpose: "dateline".to_owned(),
        }
    }
}

/// This very program, as [`Options::launcher`]. On Linux by the kernel's name for it, which still works
/// after an upgrade has replaced the file, when Postgres has to be started once more.
pub fn this_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        Ok(PathBuf::from("/proc/self/exe"))
    } else {
        std::env::current_exe()
    }
}

/// The user's cache directory. Root's own is usually closed to the account that Postgres may have to run as,
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
