//! The user as which Postgres runs. It refuses root, so under root it gets either a user namespace, in which root has
//! another number, or an account of its own. This file lists the ways and tries which of them works here;
//! [`super::launcher`] applies them.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::binaries::Binaries;
use super::directory::Directory;
use super::error::Error;
use super::launcher::Launcher;
use super::ownership;

/// A way to run the server programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Without a change of user.
    Plain,
    /// In a user namespace whose user 1000 is the present user outside: no other account is needed, and the files keep
    /// their owner.
    Namespace,
    /// With another account, which then owns the cluster's files.
    Account { uid: u32, gid: u32 },
}

impl Identity {
    /// Returns the owner (user, group) of the cluster's files, as seen from outside.
    pub(super) fn owner(&self) -> (u32, u32) {
        match self {
            Self::Plain | Self::Namespace => (geteuid().as_raw(), nix::unistd::getegid().as_raw()),
            Self::Account { uid, gid } => (*uid, *gid),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split(':').collect::<Vec<_>>().as_slice() {
            ["plain"] => Some(Self::Plain),
            ["namespace"] => Some(Self::Namespace),
            ["account", uid, gid] => Some(Self::Account {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            }),
            _ => None,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => write!(f, "plain"),
            Self::Namespace => write!(f, "namespace"),
            Self::Account { uid, gid } => write!(f, "account:{uid}:{gid}"),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_the_command_line() {
        for identity in [
            Identity::Plain,
            Identity::Namespace,
            Identity::Account { uid: 101, gid: 104 },
        ] {
            assert_eq!(Identity::parse(&identity.to_string()), Some(identity));
        }
    }

    #[test]
    fn an_unknown_identity_is_refused() {
        for text in [
            "",
            "root",
            "account",
            "account:1",
            "account:x:1",
            "account:1:2:3",
        ] {
            assert_eq!(Identity::parse(text), None, "{text}");
        }
    }
}
