//! What each caller is to be answered, by tables that were written by hand from the contract and the issue, and share
//! nothing with the product.

use dateline_proto::v1::Role;
use tonic::Code;

use super::stage::{
    Absent, Deleted, Draft, Embargoed, InReview, Merged, Published, Purged, Retracted, Stand,
};

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    Nobody,
    Forger,
    Revoked,
    Reader,
    Editor,
    Publisher,
    Exporter,
    Admin,
    /// A reader of actors only.
    ActorsOnly,
    /// A reader of events only, to whom no actor is shown.
    EventsOnly,
}

pub const EVERYBODY: [Who; 10] = [
    Who::Nobody,
    Who::Forger,
    Who::Revoked,
    Who::Reader,
    Who::Editor,
    Who::Publisher,
    Who::Exporter,
    Who::Admin,
    Who::ActorsOnly,
    Who::EventsOnly,
];

impl Who {
    /// Roles and scope of the token.
    pub fn token(self) -> (&'static [Role], &'static [&'static str]) {
        match self {
            Self::Nobody | Self::Forger => (&[], &[]),
            Self::Revoked | Self::Reader => (&[Role::Reader], &[]),
            Self::Editor => (&[Role::Editor], &[]),
            Self::Publisher => (&[Role::Publisher], &[]),
            Self::Exporter => (&[Role::Exporter], &[]),
            Self::Admin => (&[Role::Admin], &[]),
            Self::ActorsOnly => (&[Role::Reader], &["kind:actor"]),
            Self::EventsOnly => (&[Role::Reader], &["kind:event"]),
        }
    }

    /// Whether the credentials are any.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Nobody | Self::Forger => Some("TOKEN_INVALID"),
            Self::Revoked => Some("TOKEN_REVOKED"),
            _ => None,
        }
    }

    fn sees_actors(self) -> bool {
        self != Self::EventsOnly
    }
}

const WRITERS: &[Who] = &[Who::Editor, Who::Publisher];
const PUBLISHER: &[Who] = &[Who::Publisher];
const ADMIN: &[Who] = &[Who::Admin];
const EXPORTER: &[Who] = &[Who::Exporter];
const DESK: &[Who] = &[Who::Editor, Who::Publisher, Who::Admin];
const ALL: &[Who] = &[
    Who::Reader,
    Who::Editor,
    Who::Publisher,
    Who::Exporter,
    Who::Admin,
    Who::ActorsOnly,
    Who::EventsOnly,
];

/// Who may call something.
pub fn may_call(call: &str) -> &'static [Who] {
    match call {
        "GetRecord" | "BatchGetRecords" | "ListRecords" | "ListRevisions" | "DiffRevisions"
        | "Watch" | "Watch snapshot" | "GetFeed" | "GetRecord at" | "GetRecord as of" => ALL,
        "GetRecord desk"
        | "BatchGetRecords desk"
        | "ListRecords desk"
        | "ListRevisions desk"
        | "DiffRevisions desk"
        | "Watch desk"
        | "Watch snapshot desk"
        | "GetFeed desk"
        | "GetRecord at desk"
        | "GetRecord as of desk" => DESK,
        "CreateRecord" | "UpdateRecord" | "DeleteRecord" | "SubmitRecords" | "Commit update"
        | "Commit create" | "Commit delete" | "Commit submit" => WRITERS,
        "SendBackRecords" | "PublishRecords" | "CorrectRecord" | "RetractRecords"
        | "MergeRecord" | "UnmergeRecord" | "RestoreRecord" | "Commit publish"
        | "Commit send back" | "Commit correct" | "Commit retract" | "Commit merge"
        | "Commit unmerge" | "Commit restore" => PUBLISHER,
        "PurgeRecord" | "Commit purge" | "CompactFeed" | "ForkFeed" | "LoadRecords"
        | "CreateToken" | "ListTokens" | "UpdateToken" | "RevokeToken" | "ListAuditEntries"
        | "GetHealth" => ADMIN,
        "Export" => EXPORTER,
        // The exporter may not see the desk, and the desk may not export.
        "Export desk" => &[],
        other => panic!("nothing is said of {other}"),
    }
}

/// What somebody who may call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The record with what it says.
    Whole,
    /// The record by name, without what it says.
    Name,
    /// As if there were none.
    NotThere,
    /// Something that has to do with no single record.
    Something,
    /// A refusal by the record's state.
    Refused(Code, &'static str),
}

const MISSING: Answer = Answer::Refused(Code::NotFound, "RECORD_NOT_FOUND");
const WRONG: Answer = Answer::Refused(Code::FailedPrecondition, "WRONG_STATE");

/// The answer of a call about one actor.
pub fn answer(call: &str, who: Who, stand: Stand) -> Answer {
    use Answer::{Name, NotThere, Whole};
    let verb = call.trim_start_matches("Commit ");
    match call {
        "GetRecord" | "BatchGetRecords" | "GetRecord at" | "DiffRevisions" | "GetRecord as of"
        | "ListRevisions"
            if !who.sees_actors() =>
        {
            NotThere
        }
        "GetRecord" | "BatchGetRecords" => match stand {
            Published => Whole,
            // What was erased after readers knew it is a tombstone like one that was withdrawn.
            Retracted | Merged | Purged => Name,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "GetRecord desk" | "BatchGetRecords desk" => match stand {
            Draft | InReview | Embargoed | Published | Retracted | Merged => Whole,
            Purged => Name,
            Absent | Deleted => NotThere,
        },
        // Revision 2 is the one that came after the draft.
        "GetRecord at" => match stand {
            Published | Retracted | Merged => Whole,
            // That there was this revision stays, what it said does not.
            Purged => Name,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "GetRecord at desk" => match stand {
            InReview | Embargoed | Published | Retracted | Merged => Whole,
            // So does the one that deleted a draft.
            Deleted | Purged => Name,
            Absent | Draft => NotThere,
        },
        "GetRecord as of" => answer("GetRecord", who, stand),
        "GetRecord as of desk" => answer("GetRecord desk", who, stand),
        "ListRevisions" => match stand {
            Published | Retracted | Merged | Purged => Name,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "ListRevisions desk" => match stand {
            Absent => NotThere,
            _ => Name,
        },
        // Of revision 2 with itself.
        "DiffRevisions" => match stand {
            Published | Retracted | Merged | Purged => Answer::Something,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "DiffRevisions desk" => match stand {
            Absent | Draft => NotThere,
            _ => Answer::Something,
        },
        _ => written(verb, stand),
    }
}

/// The answer of a write that only checks.
fn written(verb: &str, stand: Stand) -> Answer {
    let fits = |stands: &[Stand]| match stand {
        Absent | Deleted => MISSING,
        _ if stands.contains(&stand) => Answer::Whole,
        _ => WRONG,
    };
    match verb {
        "CreateRecord" | "create" => match stand {
            Absent => Answer::Whole,
            _ => Answer::Refused(Code::AlreadyExists, "NAME_TAKEN"),
        },
        "UpdateRecord" | "update" => fits(&[Draft]),
        "DeleteRecord" | "delete" => match fits(&[Draft]) {
            Answer::Whole => Answer::Something,
            other => other,
        },
        "SubmitRecords" | "submit" => fits(&[Draft, InReview]),
        "SendBackRecords" | "send back" => fits(&[InReview, Embargoed]),
        "PublishRecords" | "publish" => fits(&[Draft, InReview, Embargoed, Published]),
        "CorrectRecord" | "correct" | "RetractRecords" | "retract" | "MergeRecord" | "merge" => {
            fits(&[Published])
        }
        "UnmergeRecord" | "unmerge" => fits(&[Merged]),
        "RestoreRecord" | "restore" => fits(&[Draft, Published]),
        "PurgeRecord" | "purge" => match stand {
            Absent => MISSING,
            // What a deleted draft said can be erased, by who has read how it stands now.
            Deleted => Answer::Refused(Code::Aborted, "ETAG_MISMATCH"),
            _ => Answer::Name,
        },
        other => panic!("nothing is said of {other}"),
    }
}

/// Whose words a reader of everything gets, by a call about all records.
pub fn told(call: &str) -> &'static [Stand] {
    match call {
        "ListRecords" | "Watch snapshot" | "Export" => &[Published],
        "ListRecords desk" | "Watch snapshot desk" => &[Draft, InReview, Embargoed, Published],
        // What was published is history, though it was withdrawn since; what was erased is none.
        "Watch" => &[Published, Retracted, Merged],
        "Watch desk" => &[
            Draft, InReview, Embargoed, Published, Retracted, Merged, Deleted,
        ],
        other => panic!("nothing is said of {other}"),
    }
}
