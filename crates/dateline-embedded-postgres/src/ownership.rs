//! Permissions of the data directory and ownership of its files. The owner of the files shows as whom Postgres last
//! ran, so that is stored nowhere else, and an interrupted change of owner is continued.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use super::error::Error;
use super::identity::Identity;

/// Takes ownership of the data directory itself and closes it to others. An account of Postgres's own may pass through
/// it to the files that it owns, without listing the directory.
pub(super) fn restrict_root(root: &Path, identity: &Identity) -> Result<(), Error> {
    let (uid, gid) = Identity::Plain.owner();
    let metadata = fs::metadata(root).map_err(Error::io("look at", root))?;
    if metadata.uid() != uid {
        lchown(root, Some(uid), Some(gid)).map_err(Error::io("take over", root))?;
    }
    let mode = if matches!(identity, Identity::Account { .. }) {
        0o711
    } else {
        0o700
    };
    close(root, mode)
}

/// Sets the permission bits of a directory.
pub(super) fn close(directory: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(directory, Permissions::from_mode(mode))
        .map_err(Error::io("set the permissions of", directory))
}

/// Gives a directory and its contents to the user as which Postgres runs, if they belong to another one.
///
/// The directory itself comes last: as long as it has its old owner, the work is incomplete. Only files of its old
/// owner are changed, so that a planted link gives away nobody else's files.
pub(super) fn change_owner(directory: &Path, identity: &Identity) -> Result<(), Error> {
    let (uid, gid) = identity.owner();
    let old = fs::metadata(directory)
        .map_err(Error::io("look at", directory))?
        .uid();
    if old == uid {
        return Ok(());
    }
    tracing::info!(directory = %directory.display(), from = old, to = uid, "giving the cluster's files to another user");
    let give =
        |path: &Path| lchown(path, Some(uid), Some(gid)).map_err(Error::io("give away", path));
    let mut waiting = vec![directory.to_owned()];
    while let Some(parent) = waiting.pop() {
        for entry in fs::read_dir(&parent).map_err(Error::io("read", &parent))? {
            let entry = entry.map_err(Error::io("read", &parent))?;
            let metadata = entry
                .metadata()
                .map_err(Error::io("look at", entry.path()))?;
            if metadata.uid() == old {
                give(&entry.path())?;
            }
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    give(directory)
}
