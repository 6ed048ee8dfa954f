//! The expected answer to each caller. The tables were written by hand from the contract and the issue, and share no
//! code with the product.

use dateline_proto::v1::Role;
use tonic::Code;

use crate::support::fixtures::{
    Absent, Deleted, Draft, Embargoed, FixtureState, InReview, Merged, Published, Purged, Retracted,
};

/// The callers.
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
    /// A reader of events only, to whom no actor is visible.
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

    /// The reason of the refusal if the credentials are invalid.
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

/// The callers who may make a call.
pub fn may_call(call: &str) -> &'static [Who] {
    match call {
        "GetRecord" | "BatchGetRecords" | "ListRecords" | "ListRevisions" | "DiffRevisions"
        | "SearchRecords" | "Watch" | "Watch snapshot" | "GetFeed" | "GetRecord at"
        | "GetRecord as of" | "MatchActors" | "FindDuplicates" | "SuggestMentions" => ALL,
        "GetRecord desk"
        | "BatchGetRecords desk"
        | "ListRecords desk"
        | "ListRevisions desk"
        | "DiffRevisions desk"
        | "SearchRecords desk"
        | "Watch desk"
        | "Watch snapshot desk"
        | "GetFeed desk"
        | "GetRecord at desk"
        | "GetRecord as of desk"
        | "MatchActors desk"
        | "FindDuplicates desk"
        | "SuggestMentions desk" => DESK,
        "CreateRecord" | "UpdateRecord" | "DeleteRecord" | "SubmitRecords" | "Commit update"
        | "Commit create" | "Commit delete" | "Commit submit" => WRITERS,
        "SendBackRecords" | "PublishRecords" | "CorrectRecord" | "RetractRecords"
        | "MergeRecord" | "UnmergeRecord" | "RestoreRecord" | "Commit publish"
        | "Commit send back" | "Commit correct" | "Commit retract" | "Commit merge"
        | "Commit unmerge" | "Commit restore" => PUBLISHER,
        "PurgeRecord" | "Commit purge" | "CompactFeed" | "ForkFeed" | "LoadRecords"
        | "RebuildSearch" | "CreateToken" | "ListTokens" | "UpdateToken" | "RevokeToken"
        | "ListAuditEntries" | "GetHealth" => ADMIN,
        "Export" => EXPORTER,
        // The exporter may not see the desk feed, and the desk may not export.
        "Export desk" => &[],
        other => panic!("nothing is said of {other}"),
    }
}

/// The answer to a permitted caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedAnswer {
    /// The record with its content.
    Whole,
    /// The record by name, without its content.
    Name,
    /// The same answer as if the record did not exist.
    NotThere,
    /// An answer that does not depend on a single record.
    Something,
    /// A refusal due to the record's state.
    Refused(Code, &'static str),
}

const MISSING: ExpectedAnswer = ExpectedAnswer::Refused(Code::NotFound, "RECORD_NOT_FOUND");
const WRONG: ExpectedAnswer = ExpectedAnswer::Refused(Code::FailedPrecondition, "WRONG_STATE");

/// The answer of a call about one actor.
pub fn answer(call: &str, who: Who, stand: FixtureState) -> ExpectedAnswer {
    use ExpectedAnswer::{Name, NotThere, Whole};
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
            // A record that was erased after readers saw it is a tombstone, like a withdrawn one.
            Retracted | Merged | Purged => Name,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "GetRecord desk" | "BatchGetRecords desk" => match stand {
            Draft | InReview | Embargoed | Published | Retracted | Merged => Whole,
            Purged => Name,
            Absent | Deleted => NotThere,
        },
        // Revision 2 is the one after the draft.
        "GetRecord at" => match stand {
            Published | Retracted | Merged => Whole,
            // The revision is still listed; its content is erased.
            Purged => Name,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "GetRecord at desk" => match stand {
            InReview | Embargoed | Published | Retracted | Merged => Whole,
            // The same holds for the revision that deleted a draft.
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
        // Compares revision 2 with itself.
        "DiffRevisions" => match stand {
            Published | Retracted | Merged | Purged => ExpectedAnswer::Something,
            Absent | Draft | InReview | Embargoed | Deleted => NotThere,
        },
        "DiffRevisions desk" => match stand {
            Absent | Draft => NotThere,
            _ => ExpectedAnswer::Something,
        },
        _ => written(verb, stand),
    }
}

/// The answer of a write with `validate_only`.
fn written(verb: &str, stand: FixtureState) -> ExpectedAnswer {
    let fits = |stands: &[FixtureState]| match stand {
        Absent | Deleted => MISSING,
        _ if stands.contains(&stand) => ExpectedAnswer::Whole,
        _ => WRONG,
    };
    match verb {
        "CreateRecord" | "create" => match stand {
            Absent => ExpectedAnswer::Whole,
            _ => ExpectedAnswer::Refused(Code::AlreadyExists, "NAME_TAKEN"),
        },
        "UpdateRecord" | "update" => fits(&[Draft]),
        "DeleteRecord" | "delete" => match fits(&[Draft]) {
            ExpectedAnswer::Whole => ExpectedAnswer::Something,
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
            // The content of a deleted draft can be erased by a caller who sends its current etag.
            Deleted => ExpectedAnswer::Refused(Code::Aborted, "ETAG_MISMATCH"),
            _ => ExpectedAnswer::Name,
        },
        other => panic!("nothing is said of {other}"),
    }
}

/// The states whose words a reader of everything gets from a call about all records.
pub fn states_revealed_by(call: &str) -> &'static [FixtureState] {
    match call {
        "ListRecords" | "Watch snapshot" | "Export" | "MatchActors" | "FindDuplicates"
        | "SuggestMentions" | "SearchRecords" => &[Published],
        "ListRecords desk"
        | "Watch snapshot desk"
        | "MatchActors desk"
        | "FindDuplicates desk"
        | "SuggestMentions desk"
        | "SearchRecords desk" => &[Draft, InReview, Embargoed, Published],
        // Published content stays history after a withdrawal; erased content does not.
        "Watch" => &[Published, Retracted, Merged],
        "Watch desk" => &[
            Draft, InReview, Embargoed, Published, Retracted, Merged, Deleted,
        ],
        other => panic!("nothing is said of {other}"),
    }
}
