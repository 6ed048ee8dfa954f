//! The data directory: its layout, the check that it is ours, and the lock that limits it to one owner at a time. This
//! module does not know what runs in it.
//!
//! ```text
//! <data dir>/lock           held for as long as the server runs; names the holder
//! <data dir>/dateline-data  marks the directory as ours
//! <data dir>/cluster        created by initdb
//! <data dir>/socket         the server's socket
//! <data dir>/postgres.log   the server's log
//! ```

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::{database::DATABASE, process, socket};

const LOCK: &str = "lock";
const MARKER: &str = "dateline-data";
const CLUSTER: &str = "cluster";
const SOCKET: &str = "socket";
const LOG: &str = "postgres.log";

const MARKER_TEXT: &str = "This directory belongs to Dateline: it holds the database of a Dateline server.\n\
    Copy or remove it only as a whole, and only while no server uses it.\n";

/// Entries that a new file system or a file browser may leave in an otherwise empty directory.
const NEGLIGIBLE: [&str; 2] = ["lost+found", ".DS_Store"];

/// Longest time for which remains of an earlier owner are waited for: the lock, which a child between fork and exec
/// still holds open, and an initdb.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(5);

/// Interval at which a temporary condition is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A data directory that is ours and locked. Dropping it releases the lock.
#[derive(Debug)]
pub(super) struct Directory {
    root: PathBuf,
    tag: String,
    lock: File,
}

/// The holder of a data directory, as written in its lock.
#[derive(Debug, Serialize, Deserialize)]
struct LockHolder {
    pid: u32,
    /// Such as `dateline serve`.
    purpose: String,
    /// URL by which its database can be reached instead.
    url: String,
}

impl Directory {
    /// Creates the directory unless it exists, checks that it is ours, and locks it.
    pub(super) async fn claim(path: &Path, purpose: &str) -> Result<Self, Error> {
        let root = make(path)?;
        refuse_foreign(&root)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(root.join(LOCK))
            .map_err(Error::io("open the lock of", &root))?;
        acquire(&lock, &root).await?;
        let tag = tag(&root)?;
        let holder = LockHolder {
            pid: std::process::id(),
            purpose: purpose.to_owned(),
            url: socket::url(
                &socket::choose_directory(&root.join(SOCKET), &tag),
                DATABASE,
            ),
        };
        write_holder(&mut lock, &holder).map_err(Error::io("write the lock of", &root))?;
        let marker = root.join(MARKER);
        if !marker.exists() {
            fs::write(&marker, MARKER_TEXT).map_err(Error::io("write", &marker))?;
        }
        Ok(Self { root, tag, lock })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join(CLUSTER)
    }

    /// Returns the directory in which a cluster is made before it is renamed. Its name differs each time: the remains
    /// of an interrupted initdb may still be written to for a moment.
    pub(super) fn unfinished_cluster(&self) -> PathBuf {
        self.root
            .join(format!("{CLUSTER}.new-{}", std::process::id()))
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    pub(super) fn socket(&self) -> PathBuf {
        socket::choose_directory(&self.root.join(SOCKET), &self.tag)
    }

    /// Returns a word that every process of this directory's server has in its command line, and no other process: not
    /// the server of a copy of the directory, nor of the same path in another container.
    pub(super) fn tag(&self) -> &str {
        &self.tag
    }

    /// Returns the major version of the cluster; `None` if there is no cluster yet.
    pub(super) fn major_version(&self) -> Result<Option<u32>, Error> {
        let damaged = |problem: &str| Error::Damaged {
            dir: self.cluster(),
            problem: problem.to_owned(),
        };
        match fs::read_to_string(self.cluster().join("PG_VERSION")) {
            Ok(text) => match text.trim().parse() {
                Ok(major) => Ok(Some(major)),
                Err(_) => Err(damaged("its PG_VERSION is not a number")),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if self.cluster().exists() {
                    Err(damaged("it has no PG_VERSION"))
                } else {
                    Ok(None)
                }
            }
            Err(error) => Err(Error::io("read PG_VERSION in", self.cluster())(error)),
        }
    }

    /// Removes the remains of interrupted initialisations. Remains that cannot be removed do no harm.
    pub(super) async fn remove_unfinished(&self) -> Result<(), Error> {
        let prefix = format!("{CLUSTER}.new-");
        for name in names(&self.root)? {
            if name.as_encoded_bytes().starts_with(prefix.as_bytes()) {
                remove_stubbornly(self.root.join(name)).await?;
            }
        }
        Ok(())
    }

    /// Syncs the directory, so that a new name in it survives a power cut.
    pub(super) fn sync(&self) -> Result<(), Error> {
        File::open(&self.root)
            .and_then(|directory| directory.sync_all())
            .map_err(Error::io("sync", &self.root))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Unlocked explicitly instead of by closing the file: a child that is just being started has it open too.
        let _ = self.lock.unlock();
    }
}

fn make(path: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path).map_err(Error::io("find", path))?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io("create", &path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let root = path.canonicalize().map_err(Error::io("find", &path))?;
    let metadata = fs::metadata(&root).map_err(Error::io("look at", &root))?;
    if !metadata.is_dir() {
        return Err(Error::NotDateline {
            dir: root,
            found: "a file".to_owned(),
        });
    }
    let us = geteuid();
    if !us.is_root() && metadata.uid() != us.as_raw() {
        return Err(Error::NotOwned {
            dir: root,
            owner: metadata.uid(),
            us: us.as_raw(),
        });
    }
    Ok(root)
}

fn names(directory: &Path) -> Result<Vec<OsString>, Error> {
    fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect()
        })
        .map_err(Error::io("read", directory))
}

/// Removes a directory, again if needed: an initdb whose owner was killed ends by itself, and until then still creates
/// files in it.
async fn remove_stubbornly(path: PathBuf) -> Result<(), Error> {
    let since = Instant::now();
    loop {
        let doomed = path.clone();
        match tokio::task::spawn_blocking(move || fs::remove_dir_all(doomed)).await? {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                if since.elapsed() > CLAIM_TIMEOUT {
                    let path = path.display();
                    tracing::warn!(%path, %error, "could not remove a half-made cluster");
                    return Ok(());
                }
            }
            Ok(()) | Err(_) => return Ok(()),
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Refuses a directory without our marker, unless it holds only the remains of an interrupted initialisation.
fn refuse_foreign(root: &Path) -> Result<(), Error> {
    let names = names(root)?;
    if names.iter().any(|name| name == MARKER) {
        return Ok(());
    }
    let stranger = names
        .iter()
        .find(|name| *name != LOCK && !NEGLIGIBLE.iter().any(|negligible| *name == negligible));
    let Some(stranger) = stranger else {
        return Ok(());
    };
    let found = if names.iter().any(|name| name == "PG_VERSION") {
        "a cluster of PostgreSQL that Dateline did not make".to_owned()
    } else {
        format!("{:?}", stranger.display())
    };
    Err(Error::NotDateline {
        dir: root.to_owned(),
        found,
    })
}

async fn acquire(lock: &File, root: &Path) -> Result<(), Error> {
    let since = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", root)(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let holder = fs::read(root.join(LOCK))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let late = since.elapsed() > CLAIM_TIMEOUT;
        let dir = root.to_owned();
        match holder {
            Some(LockHolder { pid, purpose, url }) if late || process::exists(pid) => {
                return Err(Error::InUse {
                    dir,
                    pid,
                    purpose,
                    url,
                });
            }
            None if late => return Err(Error::InUseBySomebody { dir }),
            _ => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

fn write_holder(lock: &mut File, holder: &LockHolder) -> std::io::Result<()> {
    let text = serde_json::to_vec(holder)?;
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(&text)
}

fn tag(root: &Path) -> Result<String, Error> {
    let metadata = fs::metadata(root).map_err(Error::io("look at", root))?;
    let digest = Sha256::digest(format!("{}:{}", metadata.dev(), metadata.ino()));
    let start = digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok(format!("dateline-{start:016x}"))
}
