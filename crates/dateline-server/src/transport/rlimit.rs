//! File descriptors: each connection takes one, and the default limit of a process is low.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors for everything besides connections: the database, files, the runtime.
const RESERVED_DESCRIPTORS: u64 = 128;

/// Raises the limit of descriptors to the hard limit, and warns if that is too few for `connections`.
pub fn raise_descriptor_limit(connections: usize) {
    let given = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    let wanted = connections as u64 + RESERVED_DESCRIPTORS;
    match given {
        Ok(given) if given < wanted => tracing::warn!(
            given,
            wanted,
            "the system gives too few file descriptors for --max-connections; some will be refused"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of file descriptors cannot be raised"),
    }
}
