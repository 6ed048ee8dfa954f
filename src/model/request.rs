//! Requests to write, checked as far as they can be without looking at any stored record. Every write RPC
//! becomes one of these: a `Commit` of one or of many.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use prost::Message;

use super::{
    name::Name,
    validate::{Validation, validate},
    violation::{Findings, Violation},
    walk::Path,
};
use crate::proto::v1::{
    CommitRequest, Record, RecordVersion, record::Kind as Body, write::Action as Sent,
};

/// Longest etag that is looked at, in bytes.
const MAX_ETAG_BYTES: usize = 128;

/// Several writes that happen together or not at all (W5).
#[derive(Debug, Clone)]
pub struct Request {
    /// Chosen by the client, so that a retry is not a second write (W4).
    pub id: Option<Uuid>,
    /// SHA-256 of the request, to tell a retry from another request under the same id.
    pub fingerprint: [u8; 32],
    /// Who writes.
    pub author: String,
    /// In the order of the request.
    pub writes: Vec<Write>,
    /// Check all, write nothing.
    pub validate_only: bool,
}

/// One change of one record.
#[derive(Debug, Clone)]
pub struct Write {
    /// The record.
    pub name: Name,
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
    },
    /// Edit the draft.
    Update {
        /// Without meta; not yet checked, for only the masked fields count.
        body: Body,
        /// The mask.
        paths: Vec<String>,
        /// As read.
        etag: String,
    },
    /// Delete the draft.
    Delete {
        /// As read.
        etag: String,
    },
    /// Show it to readers.
    Publish {
        /// As read.
        etag: String,
    },
    /// Withdraw it.
    Retract {
        /// As read.
        etag: String,
        /// What readers are told.
        note: String,
    },
}

impl Request {
    /// Checks a request, all of it at once.
    ///
    /// # Errors
    /// Every violation (W6), with paths from the root of `CommitRequest`.
    pub fn new(mut commit: CommitRequest, author: String) -> Result<Self, Vec<Violation>> {
        let fingerprint = Sha256::digest(commit.encode_to_vec()).into();
        let metas: Vec<_> = commit.writes.iter_mut().map(take_etag).collect();
        let mut violations = validate(&mut commit, &mut Path::default());
        let id = request_id(&commit.request_id, &mut violations);
        let validate_only = commit.validate_only;
        let mut writes = Vec::with_capacity(commit.writes.len());
        for (index, (write, etag)) in commit.writes.into_iter().zip(metas).enumerate() {
            writes.extend(
                write
                    .action
                    .and_then(|action| read_action(action, etag, index, &mut violations)),
            );
        }
        refuse_repeats(&writes, &mut violations);
        if violations.is_empty() {
            Ok(Self {
                id,
                fingerprint,
                author,
                writes,
                validate_only,
            })
        } else {
            Err(violations)
        }
    }
}

/// Takes the meta of a sent record out before it is checked: all of it but the etag is the service's own.
fn take_etag(write: &mut crate::proto::v1::Write) -> String {
    let record = match &mut write.action {
        Some(Sent::Create(create)) => create.record.as_mut(),
        Some(Sent::Update(update)) => update.record.as_mut(),
        Some(Sent::Delete(_) | Sent::Publish(_) | Sent::Retract(_)) | None => None,
    };
    record
        .and_then(|record| record.kind.as_mut())
        .and_then(Body::take_meta)
        .map(|meta| meta.etag)
        .unwrap_or_default()
}

fn request_id(text: &str, violations: &mut Vec<Violation>) -> Option<Uuid> {
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

fn read_action(
    action: Sent,
    etag: String,
    index: usize,
    violations: &mut Vec<Violation>,
) -> Option<Write> {
    let mut versioned = |version: Option<RecordVersion>, field: &str| {
        let version = version?;
        check_etag(
            &version.etag,
            format!("writes[{index}].{field}.etag"),
            violations,
        );
        Some((Name::parse(&version.name)?, version.etag))
    };
    Some(match action {
        Sent::Create(create) => {
            let (name, mut body) = read_record(create.record, index, "create", violations)?;
            if let Body::Article(article) = &mut body
                && !create.original.is_empty()
            {
                article.original_sha256 = hex::encode(Sha256::digest(&create.original));
            }
            Write {
                name,
                action: Action::Create { body },
            }
        }
        Sent::Update(update) => {
            let (name, body) = read_record(update.record, index, "update", violations)?;
            let field = format!(
                "writes[{index}].update.record.{}.meta.etag",
                kind_field(&body)
            );
            check_etag(&etag, field, violations);
            let paths = update
                .update_mask
                .map(|mask| mask.paths)
                .unwrap_or_default();
            Write {
                name,
                action: Action::Update { body, paths, etag },
            }
        }
        Sent::Delete(version) => {
            let (name, etag) = versioned(Some(version), "delete")?;
            Write {
                name,
                action: Action::Delete { etag },
            }
        }
        Sent::Publish(version) => {
            let (name, etag) = versioned(Some(version), "publish")?;
            Write {
                name,
                action: Action::Publish { etag },
            }
        }
        Sent::Retract(retract) => {
            let (name, etag) = versioned(retract.record, "retract.record")?;
            Write {
                name,
                action: Action::Retract {
                    etag,
                    note: retract.note,
                },
            }
        }
    })
}

fn read_record(
    record: Option<Record>,
    index: usize,
    action: &str,
    violations: &mut Vec<Violation>,
) -> Option<(Name, Body)> {
    let record = record?;
    let Some(body) = &record.kind else {
        if action == "update" {
            violations.push(Violation::new(
                format!("writes[{index}].update.record"),
                "record is empty: set one of its kinds",
            ));
        }
        return None;
    };
    if let Some(name) = record.record_name() {
        Some((name, record.kind?))
    } else {
        if action == "update" {
            let field = format!("writes[{index}].update.record.{}.name", kind_field(body));
            violations.push(Violation::new(
                field,
                "is not a name of this kind of record",
            ));
        }
        None
    }
}

/// The field of `Record` in which a body stands: `event`.
#[must_use]
pub fn kind_field(body: &Body) -> &'static str {
    super::name::collection(body.kind()).trim_end_matches('s')
}

fn check_etag(etag: &str, field: String, violations: &mut Vec<Violation>) {
    if etag.is_empty() {
        violations.push(Violation::new(
            field,
            "must be the etag that was read: no change without knowing what is changed",
        ));
    } else if etag.len() > MAX_ETAG_BYTES {
        violations.push(Violation::new(
            field,
            format!(
                "is {} bytes long; no etag is longer than {MAX_ETAG_BYTES}",
                etag.len()
            ),
        ));
    }
}

fn refuse_repeats(writes: &[Write], violations: &mut Vec<Violation>) {
    let mut seen = HashMap::new();
    for (index, write) in writes.iter().enumerate() {
        if let Some(first) = seen.insert(&write.name, index) {
            let what = format!(
                "{} is also changed by writes[{first}]; one change of a record per request",
                write.name
            );
            violations.push(Violation::new(format!("writes[{index}]"), what));
        }
    }
}

/// Checks a merged draft as if it were new; paths begin at `at`.
#[must_use]
pub fn check_body(body: &mut Body, at: &mut Path) -> Findings {
    let mut validation = Validation::of_stored();
    body.walk(at, &mut validation);
    validation.into_findings()
}
