//! Whether a file is another than it was: what is read again when it changes, certificates, keys and roles, is told by it.

use std::{os::unix::fs::MetadataExt, path::Path};

/// What is looked at of a file; two of one file differ if it was written or replaced in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    /// Of a file; `None` where there is none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let of = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: of.ino(),
            bytes: of.len(),
            seconds: of.mtime(),
            nanoseconds: of.mtime_nsec(),
        })
    }
}
