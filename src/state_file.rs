//! The position of a consumer in a file: replaced atomically, and locked by one process at a time.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use dateline_client::Position;
use dateline_proto::v1::WatchRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;

/// Maximum size of a state file: a cursor and a filter are short.
const MAX_STATE_BYTES: u64 = 1024 * 1024;

/// Content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    /// View and filter: a position is valid only for those of its request.
    view: String,
    filter: Value,
    position: Position,
}

/// A state file, locked by this process.
pub(super) struct StateFile {
    path: PathBuf,
    state: State,
    /// The lock, held until this is dropped.
    _lock: File,
}

impl StateFile {
    /// Opens and locks the file, or prepares a new one.
    ///
    /// # Errors
    /// If another process holds the lock, the file cannot be read, or it belongs to another view or filter.
    pub fn open(path: &Path, request: &WatchRequest) -> Result<Self> {
        let lock = beside(path, "lock");
        let lock_file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock)
            .with_context(|| format!("cannot write {}", lock.display()))?;
        match lock_file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "{} is in use by another `dateline watch`; give each its own",
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", lock.display()));
            }
        }
        let view = request.view().as_str_name().to_owned();
        let filter = request.filter.as_ref().map(json::value).transpose()?;
        let asked = State {
            view,
            filter: filter.unwrap_or_default(),
            position: Position::default(),
        };
        let state = match dateline_files::read(path, MAX_STATE_BYTES) {
            Ok(text) => {
                let state: State = serde_json::from_slice(&text)
                    .with_context(|| format!("{} is no state file", path.display()))?;
                if (&state.view, &state.filter) != (&asked.view, &asked.filter) {
                    bail!(
                        "{} was made with another view or filter; give the same flags, or another file",
                        path.display()
                    );
                }
                state
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => asked,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Ok(Self {
            path: path.to_owned(),
            state,
            _lock: lock_file,
        })
    }

    /// The stored position, if there is one.
    pub fn position(&self) -> Option<Position> {
        let position = &self.state.position;
        (!position.cursor.is_empty()).then(|| position.clone())
    }

    /// Stores a position durably.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn store(&mut self, position: &Position) -> Result<()> {
        self.state.position = position.clone();
        let replace = || -> std::io::Result<()> {
            let new = beside(&self.path, "new");
            let mut file = File::create(&new)?;
            file.write_all(serde_json::to_string(&self.state)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            match self
                .path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                Some(parent) => File::open(parent)?.sync_all(),
                None => File::open(".")?.sync_all(),
            }
        };
        replace().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}"));
    path.with_file_name(name)
}
