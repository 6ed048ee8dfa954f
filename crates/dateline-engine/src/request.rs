//! Write requests, checked as far as possible without a stored record. Every write RPC becomes one of these: a `Commit`
//! with one write or many.

use std::collections::{HashMap, HashSet};

use dateline_proto::v1::{
    self, CommitRequest, correction, record::Kind as Body, write::Action as Sent,
};
use dateline_record::{
    index::IndexTerms,
    name::Name,
    revision::Revision,
    validate::Validation,
    violation::{Findings, Violation, Warning},
    walk::{Path, Walk},
};
use prost::Message;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{etag::Etag, parse::WriteParser};

/// Most entries of evidence in one request.
const MAX_EVIDENCE: usize = 20_000;
/// Most revisions of articles that one request cites.
const MAX_CITED: usize = 1000;

/// The caller of a request, for the log and the audit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attribution {
    /// Author of what is written.
    pub author: String,
    /// Credential by which the caller was identified.
    pub credential: String,
    /// Address of the caller.
    pub peer: String,
    /// Method that was called.
    pub method: String,
}

/// Several writes that are committed together or not at all (W5).
#[derive(Debug, Clone)]
pub struct Request {
    /// Id chosen by the client, so that a retry is not a second write (W4).
    pub id: Option<Uuid>,
    /// SHA-256 of the request, to distinguish a retry from another request under the same id.
    pub fingerprint: [u8; 32],
    /// The same as computed by older servers, which counted `omit_content` as part of the request: a stored answer of
    /// the last 24 hours may have this fingerprint.
    pub earlier_fingerprint: Option<[u8; 32]>,
    /// The caller.
    pub by: Attribution,
    /// Writes in the order of the request.
    pub writes: Vec<Write>,
    /// Preconditions on records that are not written: name and etag; an empty etag means that the record must not
    /// exist.
    pub preconditions: Vec<(Name, Etag)>,
    /// Check everything, write nothing.
    pub validate_only: bool,
    /// Bytes of the request as sent.
    pub bytes: usize,
    /// Warnings about the request itself.
    pub warnings: Vec<Warning>,
}

/// One change of one record.
#[derive(Debug, Clone)]
pub struct Write {
    /// Name of the record.
    pub name: Name,
    /// Etag that the caller read; empty for a new record.
    pub etag: Etag,
    /// Note for readers, or for the author; empty if there is none.
    pub note: String,
    /// Action on the record.
    pub action: Action,
}

/// Action on a record.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)]
pub enum Action {
    /// Create a draft.
    Create {
        /// Without meta, normalised and valid.
        body: Body,
        /// Index data extracted from the draft.
        terms: IndexTerms,
    },
    /// Edit the draft.
    Update {
        /// Without meta; not yet checked, for only the masked fields count.
        body: Body,
        /// Paths of the field mask.
        paths: Vec<String>,
    },
    /// Delete the draft.
    Delete,
    /// Submit the draft for review.
    Submit,
    /// Send it back: it becomes a draft again.
    SendBack,
    /// Publish it.
    Publish {
        /// Time before which it stays hidden.
        embargo: Option<OffsetDateTime>,
    },
    /// Correct it after publication.
    Correct {
        /// Body, as in `Update`.
        body: Body,
        /// Paths of the field mask.
        paths: Vec<String>,
        /// Kind of the correction: an error, or something new.
        kind: correction::Kind,
    },
    /// Retract it.
    Retract {
        /// Also retract records that have no other source.
        cascade: bool,
    },
    /// Merge it: it becomes a tombstone that points at another record.
    Merge {
        /// Name of the other record.
        into: Name,
        /// Etag of the other record, as read.
        into_etag: Etag,
    },
    /// Undo a merge.
    Unmerge,
    /// Restore the content of an older revision.
    Restore {
        /// Number of that revision.
        revision: Revision,
    },
    /// Load a record as another database had it.
    Load {
        /// Without meta, normalised and valid.
        body: Body,
        /// Meta as it was there.
        meta: Box<v1::RecordMeta>,
    },
    /// Erase its content.
    Purge {
        /// Also retract records that have no other source.
        cascade: bool,
    },
}

impl Action {
    /// Returns the arm of `Write.action` from which the action came.
    #[must_use]
    pub fn field_name(&self) -> &'static str {
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

    /// True if the action depends on other records staying published.
    #[must_use]
    pub fn depends_on_others(&self) -> bool {
        matches!(
            self,
            Action::Publish { .. }
                | Action::Correct { .. }
                | Action::Restore { .. }
                | Action::Unmerge
        )
    }

    /// True if the action withdraws a record that others may depend on.
    #[must_use]
    pub fn withdraws(&self) -> bool {
        matches!(
            self,
            Action::Retract { .. } | Action::Merge { .. } | Action::Purge { .. }
        )
    }

    /// True if the action may change records that the request does not name.
    #[must_use]
    pub fn changes_unnamed_records(&self) -> bool {
        matches!(
            self,
            Action::Retract { cascade: true } | Action::Purge { cascade: true } | Action::Unmerge
        )
    }
}

impl Write {
    /// Returns every record that the write names as changed.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let other = match &self.action {
            Action::Merge { into, .. } => Some(into),
            _ => None,
        };
        std::iter::once(&self.name).chain(other)
    }
}

impl Request {
    /// True if a fingerprint is of this request.
    #[must_use]
    pub fn has_fingerprint(&self, fingerprint: &[u8]) -> bool {
        let earlier = self.earlier_fingerprint.iter();
        earlier
            .chain([&self.fingerprint])
            .any(|own| own == fingerprint)
    }

    /// Checks a request and collects all violations. `now` decides whether an embargo is too far ahead.
    ///
    /// # Errors
    /// Every violation (W6), with paths from the root of `CommitRequest`.
    pub fn new(
        mut commit: CommitRequest,
        by: Attribution,
        now: OffsetDateTime,
    ) -> Result<Self, Vec<Violation>> {
        // The amount of content in the response is not part of the request: a retry may ask for less.
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
            let mut parser = WriteParser {
                index,
                now,
                violations: &mut violations,
            };
            writes.extend(write.action.and_then(|action| parser.parse(action, etag)));
        }
        reject_repeats(&writes, &mut violations);
        check_evidence_count(&writes, &mut violations);
        if !violations.is_empty() {
            return Err(violations);
        }
        let preconditions = commit.preconditions.into_iter();
        let preconditions = preconditions
            .filter_map(|version| Some((Name::parse(&version.name)?, version.etag.into())));
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

/// Returns the etag of a sent record, and removes its meta before the check: the service owns all of it but the etag.
fn take_etag(write: &mut v1::Write) -> Etag {
    let record = match &mut write.action {
        Some(Sent::Create(create)) => create.record.as_mut(),
        Some(Sent::Update(update)) => update.record.as_mut(),
        Some(Sent::Correct(correct)) => correct.record.as_mut(),
        _ => None,
    };
    record
        .and_then(|record| record.kind.as_mut())
        .and_then(Body::take_meta)
        .map(|meta| meta.etag.into())
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

/// Returns the field of `Record` that holds a body, such as `event`.
#[must_use]
pub fn kind_field(body: &Body) -> &'static str {
    dateline_record::name::kind_label(body.kind())
}

/// Bounds the evidence of a request: every quote is checked, and every cited revision read, while all other writers
/// wait.
fn check_evidence_count(writes: &[Write], violations: &mut Vec<Violation>) {
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

fn reject_repeats(writes: &[Write], violations: &mut Vec<Violation>) {
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
