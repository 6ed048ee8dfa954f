//! Detects that a file was rewritten or replaced (inode, size, mtime). Certificates, keys and roles are read again when
//! their file changes.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Absence after which a file counts as deleted: editors remove a file for a moment when they save it.
const GONE: Duration = Duration::from_secs(1);

/// A version of a file; two versions of a file differ if it was written or replaced in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl Stamp {
    /// The version of a file; `None` if it does not exist.
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

/// A file that is read again when it changes.
#[derive(Debug)]
pub struct FollowedFile {
    path: PathBuf,
    stamp: Option<Stamp>,
    gone_since: Option<Instant>,
}

impl FollowedFile {
    /// Starts from the present version. The caller reads the file after this.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            stamp: Stamp::of(&path),
            path,
            gone_since: None,
        }
    }

    /// Returns true once for each new version, and once if the file was deleted and stays deleted.
    pub fn has_changed(&mut self) -> bool {
        let now = Stamp::of(&self.path);
        if now.is_none() && self.stamp.is_some() {
            let since = *self.gone_since.get_or_insert_with(Instant::now);
            if since.elapsed() < GONE {
                return false;
            }
        }
        self.gone_since = None;
        let has_changed = now != self.stamp;
        self.stamp = now;
        has_changed
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
