//! Roles and their permissions, and the permissions that each method and each write of a commit needs. A method that is
//! not in the table is denied to every caller.

use dateline_proto::v1::{self, write};

/// A kind of access that a role gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Read what is published.
    Read,
    /// Read the desk feed.
    ReadDesk,
    /// Create, edit and submit drafts.
    Edit,
    /// Change what readers see.
    Publish,
    /// Export the whole state.
    Export,
    /// Erase, compact, fork, load; manage tokens and read the audit.
    Administer,
}

impl Permission {
    /// The least role that has it, for error messages.
    #[must_use]
    pub fn least_role(self) -> &'static str {
        match self {
            Self::Read => "reader",
            Self::ReadDesk | Self::Edit => "editor",
            Self::Publish => "publisher",
            Self::Export => "exporter",
            Self::Administer => "admin",
        }
    }
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Reads and watches what is published.
    Reader,
    /// Writes drafts.
    Editor,
    /// Publishes.
    Publisher,
    /// Exports the feed.
    Exporter,
    /// Operates the service.
    Admin,
}

/// All roles.
pub const ROLES: [Role; 5] = [
    Role::Reader,
    Role::Editor,
    Role::Publisher,
    Role::Exporter,
    Role::Admin,
];

impl Role {
    /// The permissions of the role.
    #[must_use]
    pub fn permissions(self) -> &'static [Permission] {
        use Permission::{Administer, Edit, Export, Publish, Read, ReadDesk};
        match self {
            Self::Reader => &[Read],
            Self::Editor => &[Read, ReadDesk, Edit],
            Self::Publisher => &[Read, ReadDesk, Edit, Publish],
            Self::Exporter => &[Read, Export],
            Self::Admin => &[Read, ReadDesk, Administer],
        }
    }

    /// The name in columns, claims and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Editor => "editor",
            Self::Publisher => "publisher",
            Self::Exporter => "exporter",
            Self::Admin => "admin",
        }
    }

    /// Parses the exact name of a role.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ROLES.into_iter().find(|role| role.as_str() == text)
    }

    /// Converts to the schema's enum.
    #[must_use]
    pub fn to_proto(self) -> v1::Role {
        match self {
            Self::Reader => v1::Role::Reader,
            Self::Editor => v1::Role::Editor,
            Self::Publisher => v1::Role::Publisher,
            Self::Exporter => v1::Role::Exporter,
            Self::Admin => v1::Role::Admin,
        }
    }

    /// Converts from the schema's enum; `None` if it is unspecified.
    #[must_use]
    pub fn from_proto(role: v1::Role) -> Option<Self> {
        ROLES.into_iter().find(|known| known.to_proto() == role)
    }
}

/// The permissions that each method needs: one of those listed. Views and the writes of a commit are checked
/// separately.
pub const METHODS: &[(&str, &[Permission])] = {
    use Permission::{Administer, Edit, Export, Publish, Read};
    &[
        ("/dateline.v1.RecordService/GetRecord", &[Read]),
        ("/dateline.v1.RecordService/BatchGetRecords", &[Read]),
        ("/dateline.v1.RecordService/ListRecords", &[Read]),
        ("/dateline.v1.RecordService/ListRevisions", &[Read]),
        ("/dateline.v1.RecordService/DiffRevisions", &[Read]),
        ("/dateline.v1.RecordService/CreateRecord", &[Edit]),
        ("/dateline.v1.RecordService/UpdateRecord", &[Edit]),
        ("/dateline.v1.RecordService/DeleteRecord", &[Edit]),
        (
            "/dateline.v1.EditorialService/Commit",
            &[Edit, Publish, Administer],
        ),
        ("/dateline.v1.EditorialService/SubmitRecords", &[Edit]),
        ("/dateline.v1.EditorialService/SendBackRecords", &[Publish]),
        ("/dateline.v1.EditorialService/PublishRecords", &[Publish]),
        ("/dateline.v1.EditorialService/CorrectRecord", &[Publish]),
        ("/dateline.v1.EditorialService/RetractRecords", &[Publish]),
        ("/dateline.v1.EditorialService/MergeRecord", &[Publish]),
        ("/dateline.v1.EditorialService/UnmergeRecord", &[Publish]),
        ("/dateline.v1.EditorialService/RestoreRecord", &[Publish]),
        ("/dateline.v1.EditorialService/PurgeRecord", &[Administer]),
        ("/dateline.v1.SearchService/SearchRecords", &[Read]),
        ("/dateline.v1.FeedService/Watch", &[Read]),
        ("/dateline.v1.FeedService/GetFeed", &[Read]),
        ("/dateline.v1.ExportService/Export", &[Export]),
        ("/dateline.v1.MatchService/MatchActors", &[Read]),
        ("/dateline.v1.MatchService/FindDuplicates", &[Read]),
        ("/dateline.v1.MatchService/SuggestMentions", &[Read]),
        ("/dateline.v1.AdminService/CompactFeed", &[Administer]),
        ("/dateline.v1.AdminService/ForkFeed", &[Administer]),
        ("/dateline.v1.AdminService/LoadRecords", &[Administer]),
        ("/dateline.v1.AdminService/RebuildSearch", &[Administer]),
        ("/dateline.v1.AdminService/CreateToken", &[Administer]),
        ("/dateline.v1.AdminService/ListTokens", &[Administer]),
        ("/dateline.v1.AdminService/UpdateToken", &[Administer]),
        ("/dateline.v1.AdminService/RevokeToken", &[Administer]),
        ("/dateline.v1.AdminService/ListAuditEntries", &[Administer]),
        ("/dateline.v1.AdminService/GetHealth", &[Administer]),
    ]
};

/// Looks up a method of this service by its path; `None` for any other method.
#[must_use]
pub fn lookup_method(path: &str) -> Option<(&'static str, &'static [Permission])> {
    METHODS.iter().copied().find(|(known, _)| *known == path)
}

/// The permission that a write of a commit needs.
#[must_use]
pub fn required_permission(action: &write::Action) -> Permission {
    use write::Action;
    match action {
        Action::Create(_) | Action::Update(_) | Action::Delete(_) | Action::Submit(_) => {
            Permission::Edit
        }
        Action::Publish(_)
        | Action::SendBack(_)
        | Action::Correct(_)
        | Action::Retract(_)
        | Action::Merge(_)
        | Action::Unmerge(_)
        | Action::Restore(_) => Permission::Publish,
        Action::Purge(_) => Permission::Administer,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use dateline_proto::DESCRIPTORS;

    #[test]
    fn f10_every_method_says_what_it_needs_and_no_other_does() {
        let services = DESCRIPTORS.services();
        let ours = services.filter(|service| service.package_name() == "dateline.v1");
        let all: BTreeSet<_> = ours
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
            .collect();
        let told: BTreeSet<_> = METHODS.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(all, told);
        assert_eq!(told.len(), METHODS.len(), "each once");
    }

    #[test]
    fn roles_are_read_as_they_are_written_and_no_other_way() {
        for role in ROLES {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(Role::from_proto(role.to_proto()), Some(role));
        }
        for text in ["Admin", "admin ", "ADMIN", "", "root", "admin,reader"] {
            assert_eq!(Role::parse(text), None, "{text:?}");
        }
    }
}
