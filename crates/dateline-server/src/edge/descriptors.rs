//! File descriptors: each connection takes one, and systems give a process few unless it asks.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a server needs beside its connections: the database, files, the runtime.
const OTHERS: u64 = 128;

/// Asks the system for as many descriptors as it gives, and says so if that is too few for so many connections.
pub fn raise_descriptor_limit(connections: usize) {
    let given = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    let wanted = connections as u64 + OTHERS;
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
