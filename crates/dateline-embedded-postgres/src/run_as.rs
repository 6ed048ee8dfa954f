//! The choice of the user as which Postgres runs. It refuses root, so under root it gets either a user namespace, in
//! which root has another number, or an account of its own. This file lists the ways and tries which of them works here;
//! [`super::launcher`] applies them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::binaries::Binaries;
use super::directory::Directory;
use super::error::Error;
use super::identity::Identity;
use super::launcher::Launcher;
use super::ownership;

/// Chooses the first way in which the programs actually run and reach the data directory, and prepares the directory
/// for it.
///
/// The ways are tried, because neither obstacle can be queried beforehand: a container may forbid namespaces, and a
/// home directory may be closed to other accounts.
pub(super) async fn choose(
    directory: &Directory,
    binaries: &Binaries,
    executable: &Path,
    account: Option<&str>,
) -> Result<Launcher, Error> {
    let launcher = |identity| Launcher {
        executable: executable.to_owned(),
        identity,
    };
    if !geteuid().is_root() {
        ownership::restrict_root(directory.root(), &Identity::Plain)?;
        return Ok(launcher(Identity::Plain));
    }
    let candidates = match account {
        Some(name) => vec![named(name).ok_or_else(|| Error::NoIdentity {
            tried: format!("there is no account {name} other than root"),
        })?],
        None => candidates(directory.root()),
    };
    let mut tried = Vec::new();
    for identity in candidates {
        ownership::restrict_root(directory.root(), &identity)?;
        let launcher = launcher(identity);
        match launcher.probe(directory.root(), &binaries.postgres()).await {
            Ok(()) => return Ok(launcher),
            Err(problem) => tried.push(format!("{}: {problem}", launcher.identity)),
        }
    }
    Err(Error::NoIdentity {
        tried: tried.join("; "),
    })
}

/// Returns the ways to try. The namespace comes first: it needs no account and no change of owner. The account that
/// owns the parent of the data directory comes last; it helps after `sudo` in a closed home directory.
fn candidates(root: &Path) -> Vec<Identity> {
    let mut found = Vec::new();
    if cfg!(target_os = "linux") {
        found.push(Identity::Namespace);
    }
    found.extend(["postgres", "nobody"].into_iter().filter_map(named));
    found.extend(
        root.ancestors()
            .filter_map(|ancestor| fs::metadata(ancestor).ok())
            .find(|metadata| metadata.uid() != 0)
            .map(|metadata| Identity::Account {
                uid: metadata.uid(),
                gid: metadata.gid(),
            }),
    );
    found
}

/// Returns an account by name, except root, which Postgres refuses.
fn named(name: &str) -> Option<Identity> {
    let user = User::from_name(name).ok().flatten()?;
    let identity = Identity::Account {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    };
    (!user.uid.is_root()).then_some(identity)
}
