//! The user as which Postgres runs, and its form on the command line of [`super::launcher`].

use std::fmt;

use nix::unistd::geteuid;

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
