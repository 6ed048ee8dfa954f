//! Detects that a file was rewritten or replaced (inode, size, mtime). Certificates, keys and roles are read again when
//! their file changes.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Absence after which a file counts as deleted: editors remove a file for a moment when they save it.
const DELETED_AFTER: Duration = Duration::from_secs(1);

/// A version of a file; two versions of a file differ if it was written or replaced in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileVersion {
    inode: u64,
    bytes: u64,
    seconds: i64,
    nanoseconds: i64,
}

impl FileVersion {
    /// The version of a file; `None` if it does not exist.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            seconds: metadata.mtime(),
            nanoseconds: metadata.mtime_nsec(),
        })
    }
}

/// A file that is read again when it changes.
#[derive(Debug)]
pub struct WatchedFile {
    path: PathBuf,
    version: Option<FileVersion>,
    missing_since: Option<Instant>,
}

impl WatchedFile {
    /// Starts from the present version. The caller reads the file after this.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            version: FileVersion::read(&path),
            path,
            missing_since: None,
        }
    }

    /// Returns true once for each new version, and once if the file was deleted and stays deleted.
    pub fn has_changed(&mut self) -> bool {
        let now = FileVersion::read(&self.path);
        if now.is_none() && self.version.is_some() {
            let since = *self.missing_since.get_or_insert_with(Instant::now);
            if since.elapsed() < DELETED_AFTER {
                return false;
            }
        }
        self.missing_since = None;
        let has_changed = now != self.version;
        self.version = now;
        has_changed
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
