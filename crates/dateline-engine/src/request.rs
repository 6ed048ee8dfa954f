//! Requests to write, checked as far as they can be without looking at any stored record. Every write RPC
//! becomes one of these: a `Commit` of one or of many.

use std::collections::{HashMap, HashSet};

use dateline_proto::v1::{
    self, CommitRequest, correction, record::Kind as Body, write::Action as Sent,
};
use dateline_record::{
    drawing::Drawing,
    name::Name,
    validate::Validation,
    violation::{Findings, Violation, Warning},
    walk::{Path, Walk},
};
use prost::Message;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::reader::Reader;

/// Most entries of evidence of one request.
const MAX_EVIDENCE: usize = 20_000;
/// Most revisions of articles that one request cites.
const MAX_CITED: usize = 1000;

/// Who asks for something, for the log and the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    /// Who: the author of what is written.
    pub author: String,
    /// By what the caller is known.
    pub credential: String,
    /// From where.
    pub peer: String,
    /// What was called.
    pub method: String,
}

/// Several writes that happen together or not at all (W5).
#[derive(Debug, Clone)]
pub struct Request {
    /// Chosen by the client, so that a retry is not a second write (W4).
    pub id: Option<Uuid>,
    /// SHA-256 of the request, to tell a retry from another request under the same id.
    pub fingerprint: [u8; 32],
    /// The same as servers computed it that took `omit_content` for a part of the request: an answer of the last 24 hours
    /// may have been remembered under it.
    pub earlier_fingerprint: Option<[u8; 32]>,
    /// Who writes.
    pub by: By,
    /// In the order of the request.
    pub writes: Vec<Write>,
    /// Records that have to stand where the caller saw them: name, and etag or nothing for "not there".
    pub preconditions: Vec<(Name, String)>,
    /// Check all, write nothing.
    pub validate_only: bool,
    /// Bytes of the request as it was sent.
    pub bytes: usize,
    /// What looked wrong in the request itself.
    pub warnings: Vec<Warning>,
}

/// One change of one record.
#[derive(Debug, Clone)]
pub struct Write {
    /// The record.
    pub name: Name,
    /// As read; empty for a new record.
    pub etag: String,
    /// For readers, or for the author; empty if there is none.
    pub note: String,
    /// What is to happen to it.
    pub action: Action,
}

/// What is to happen to a record.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum Action {
    /// Make a draft of it.
    Create {
        /// Without meta, normalised and valid.
        body: Body,
        /// What is drawn from it as a draft.
        drawing: Drawing,
    },
    /// Edit the draft.
    Update {
        /// Without meta; not yet checked, for only the masked fields count.
        body: Body,
        /// The mask.
        paths: Vec<String>,
    },
    /// Delete the draft.
    Delete,
    /// Hand it in.
    Submit,
    /// Make it a draft again.
    SendBack,
    /// Show it to readers.
    Publish {
        /// Not before then.
        embargo: Option<OffsetDateTime>,
    },
    /// Change it in front of readers.
    Correct {
        /// As in `Update`.
        body: Body,
        /// The mask.
        paths: Vec<String>,
        /// Whether something was wrong, or something is new.
        kind: correction::Kind,
    },
    /// Withdraw it.
    Retract {
        /// With what nothing else supports.
        cascade: bool,
    },
    /// Make it a tombstone that points at another record.
    Merge {
        /// The other record.
        into: Name,
        /// Its etag, as read.
        into_etag: String,
    },
    /// Undo that.
    Unmerge,
    /// Take the content of an older revision again.
    Restore {
        /// Which one.
        revision: i64,
    },
    /// Take it as another database had it.
    Load {
        /// Without meta, normalised and valid.
        body: Body,
        /// As it was.
        meta: Box<v1::RecordMeta>,
    },
    /// Erase its content.
    Purge {
        /// Withdraw what nothing else supports.
        cascade: bool,
    },
}

impl Action {
    /// The arm of `Write.action` that it came from.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Action::Create { .. } => "create",
            Action::Update { .. } => "update",
            Action::Delete => "delete",
            Action::Submit => "submit",
            Action::SendBack => "send_back",
            Action::Publish { .. } => "publish",
            Action::Correct { .. } => "correct",
            Action::Retract { .. } => "retract",
            Action::Merge { .. } => "merge",
            Action::Unmerge => "unmerge",
            Action::Restore { .. } => "restore",
            Action::Purge { .. } => "purge",
            Action::Load { .. } => "load",
        }
    }

    /// Whether it counts on other records to stay published.
    #[must_use]
    pub fn relies_on_others(&self) -> bool {
        matches!(
            self,
            Action::Publish { .. }
                | Action::Correct { .. }
                | Action::Restore { .. }
                | Action::Unmerge
        )
    }

    /// Whether it takes away what others may count on.
    #[must_use]
    pub fn withdraws(&self) -> bool {
        matches!(
            self,
            Action::Retract { .. } | Action::Merge { .. } | Action::Purge { .. }
        )
    }

    /// Whether it may change records that the request does not name.
    #[must_use]
    pub fn reaches_further(&self) -> bool {
        matches!(
            self,
            Action::Retract { cascade: true } | Action::Purge { cascade: true } | Action::Unmerge
        )
    }
}

impl Write {
    /// Every record that it says it changes.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let other = match &self.action {
            Action::Merge { into, .. } => Some(into),
            _ => None,
        };
        std::iter::once(&self.name).chain(other)
    }
}

impl Request {
    /// Whether a fingerprint is of this request.
    #[must_use]
    pub fn is_of(&self, fingerprint: &[u8]) -> bool {
        let earlier = self.earlier_fingerprint.iter();
        earlier
            .chain([&self.fingerprint])
            .any(|own| own == fingerprint)
    }

    /// Checks a request, all of it at once. `now` decides whether an embargo is in reach.
    ///
    /// # Errors
    /// Every violation (W6), with paths from the root of `CommitRequest`.
    pub fn new(
        mut commit: CommitRequest,
        by: By,
        now: OffsetDateTime,
    ) -> Result<Self, Vec<Violation>> {
        // How much the answer carries is no part of what is asked for: a retry may want less.
        let earlier_fingerprint = std::mem::take(&mut commit.omit_content)
            .then(|| fingerprint_with_omission(&mut commit));
        let encoded = commit.encode_to_vec();
        let (fingerprint, bytes) = (Sha256::digest(&encoded).into(), encoded.len());
        drop(encoded);
        let etags: Vec<_> = commit.writes.iter_mut().map(take_etag).collect();
        let mut validation = Validation::default();
        commit.walk(&mut Path::default(), &mut validation);
        let Findings {
            mut violations,
            warnings,
        } = validation.into_findings();
        let id = request_id(&commit.request_id, &mut violations);
        let mut writes = Vec::with_capacity(commit.writes.len());
        for (index, (write, etag)) in commit.writes.into_iter().zip(etags).enumerate() {
            let mut reader = Reader {
                index,
                now,
                violations: &mut violations,
            };
            writes.extend(write.action.and_then(|action| reader.read(action, etag)));
        }
        refuse_repeats(&writes, &mut violations);
        bound_evidence(&writes, &mut violations);
        if !violations.is_empty() {
            return Err(violations);
        }
        let preconditions = commit.preconditions.into_iter();
        let preconditions =
            preconditions.filter_map(|version| Some((Name::parse(&version.name)?, version.etag)));
        Ok(Self {
            id,
            fingerprint,
            earlier_fingerprint,
            by,
            preconditions: preconditions.collect(),
            writes,
            validate_only: commit.validate_only,
            bytes,
            warnings,
        })
    }
}

fn fingerprint_with_omission(commit: &mut CommitRequest) -> [u8; 32] {
    commit.omit_content = true;
    let fingerprint = Sha256::digest(commit.encode_to_vec()).into();
    commit.omit_content = false;
    fingerprint
}

/// Takes the meta of a sent record out before it is checked: all of it but the etag is the service's own.
fn take_etag(write: &mut v1::Write) -> String {
    let record = match &mut write.action {
        Some(Sent::Create(create)) => create.record.as_mut(),
        Some(Sent::Update(update)) => update.record.as_mut(),
        Some(Sent::Correct(correct)) => correct.record.as_mut(),
        _ => None,
    };
    record
        .and_then(|record| record.kind.as_mut())
        .and_then(Body::take_meta)
        .map(|meta| meta.etag)
        .unwrap_or_default()
}

pub(super) fn request_id(text: &str, violations: &mut Vec<Violation>) -> Option<Uuid> {
    if text.is_empty() {
        return None;
    }
    let id = Uuid::try_parse(text)
        .ok()
        .filter(|id| !id.is_nil() && text.len() == 36);
    if id.is_none() {
        violations.push(Violation::new(
            "request_id",
            "must be a UUID, like 0755f1cf-eb93-728c-bfc4-65fa001ae9ed",
        ));
    }
    id
}

/// The field of `Record` in which a body stands: `event`.
#[must_use]
pub fn kind_field(body: &Body) -> &'static str {
    dateline_record::name::kind_word(body.kind())
}

/// Every quote is looked up while all other writers wait, and every revision that is cited is read for it.
fn bound_evidence(writes: &[Write], violations: &mut Vec<Violation>) {
    let bodies = writes.iter().filter_map(|write| match &write.action {
        Action::Create { body, .. }
        | Action::Update { body, .. }
        | Action::Correct { body, .. } => body.evidence(),
        _ => None,
    });
    let (mut entries, mut cited) = (0, HashSet::new());
    for entry in bodies.flatten() {
        entries += 1;
        cited.insert((entry.article.as_str(), entry.article_revision));
    }
    if entries > MAX_EVIDENCE {
        let what = format!(
            "have {entries} entries of evidence together; at most {MAX_EVIDENCE} go at once"
        );
        violations.push(Violation::new("writes", what));
    }
    if cited.len() > MAX_CITED {
        let what = format!(
            "cite {} revisions of articles; at most {MAX_CITED} go at once",
            cited.len()
        );
        violations.push(Violation::new("writes", what));
    }
}

fn refuse_repeats(writes: &[Write], violations: &mut Vec<Violation>) {
    let mut seen = HashMap::new();
    for (index, write) in writes.iter().enumerate() {
        for name in write.names() {
            if let Some(first) = seen.insert(name, index) {
                let what = format!(
                    "{name} is also changed by writes[{first}]; one change of a record per request"
                );
                violations.push(Violation::new(format!("writes[{index}]"), what));
            }
        }
    }
}
