//! Requests that load records of another database with their meta, as read from an export.

use std::collections::HashSet;

use dateline_proto::v1::{LoadRecordsRequest, Record, RecordMeta, State};
use dateline_record::{
    name::Name,
    record::name_only,
    state::is_tombstone,
    validate::{Validation, check_body},
    violation::Violation,
    walk::{Path, Walk},
};
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    etag::Etag,
    request::{Action, Attribution, Request, Write, kind_field, request_id},
};

impl Request {
    /// Checks records of another database, each by itself: that they fit each other was checked there.
    ///
    /// # Errors
    /// Every violation (W6), with paths from the root of `LoadRecordsRequest`.
    pub fn load(load: LoadRecordsRequest, by: Attribution) -> Result<Self, Vec<Violation>> {
        let encoded = load.encode_to_vec();
        let (fingerprint, bytes) = (Sha256::digest(&encoded).into(), encoded.len());
        drop(encoded);
        let mut violations = Vec::new();
        let id = request_id(&load.request_id, &mut violations);
        let mut writes = Vec::with_capacity(load.records.len());
        for (index, record) in load.records.into_iter().enumerate() {
            match loaded(record, index) {
                Ok(write) => writes.push(write),
                Err(more) => violations.extend(more),
            }
        }
        reject_repeats(&writes, &mut violations);
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(Self {
            id,
            fingerprint,
            earlier_fingerprint: None,
            by,
            preconditions: Vec::new(),
            writes,
            validate_only: load.validate_only,
            bytes,
            warnings: Vec::new(),
        })
    }

    /// True if every write loads a record of another database.
    #[must_use]
    pub fn is_load(&self) -> bool {
        let mut writes = self.writes.iter();
        writes.all(|write| matches!(write.action, Action::Load { .. }))
    }
}

/// Refuses a request that holds a record twice, by name or by uid.
fn reject_repeats(writes: &[Write], violations: &mut Vec<Violation>) {
    let (mut names, mut uids) = (HashSet::new(), HashSet::new());
    for (index, write) in writes.iter().enumerate() {
        let at = format!("records[{index}]");
        if !names.insert(&write.name) {
            let what = format!("{} is there twice", write.name);
            violations.push(Violation::new(&at, what));
        } else if let Action::Load { meta, .. } = &write.action
            && !uids.insert(Uuid::try_parse(&meta.uid).ok())
        {
            let what = format!("{} has the uid of another record", write.name);
            violations.push(Violation::new(&at, what));
        }
    }
}

/// Largest plausible revision: revisions are counted one by one.
const MAX_REVISION: i64 = 1_000_000_000_000;

fn loaded(record: Record, index: usize) -> Result<Write, Vec<Violation>> {
    let at = format!("records[{index}]");
    let wrong = |field: &str, what: &str| vec![Violation::new(format!("{at}{field}"), what)];
    let Some(mut body) = record.kind else {
        return Err(wrong("", "is no record of any kind"));
    };
    let field = kind_field(&body);
    let Some(mut meta) = body.take_meta() else {
        let what = "is missing: a record is loaded with its meta, as it was exported";
        return Err(wrong(&format!(".{field}.meta"), what));
    };
    let Some(name) = Name::parse(body.name()).filter(|name| name.kind() == body.kind()) else {
        let what = "is not the name of such a record";
        return Err(wrong(&format!(".{field}.name"), what));
    };
    let mut path = Path::default();
    path.enter("records");
    path.index(index);
    path.enter(field);
    let mut violations = check_meta(&name, &mut meta, &mut path);
    // The tombstone of a withdrawn record holds only its name.
    let is_name_only = || body.to_content() == name_only(name.as_str());
    if !(is_tombstone(meta.state()) && is_name_only()) {
        violations.extend(check_body(&mut body, &mut path).violations);
    }
    if !violations.is_empty() {
        return Err(violations);
    }
    // The record gets sequences of this feed.
    meta.sequence = 0;
    Ok(Write {
        name,
        etag: Etag::default(),
        note: String::new(),
        action: Action::Load {
            body,
            meta: Box::new(meta),
        },
    })
}

/// Checks that the meta of another database, which is kept unchanged, could have been written by this one.
fn check_meta(name: &Name, meta: &mut RecordMeta, at: &mut Path) -> Vec<Violation> {
    at.enter("meta");
    let mut validation = Validation::for_stored();
    meta.walk(at, &mut validation);
    let mut violations = validation.into_findings().violations;
    let mut wrong = |field: &str, what: &str| {
        violations.push(Violation::new(at.child(field), what));
    };
    if !(1..=MAX_REVISION).contains(&meta.revision) {
        wrong(
            "revision",
            "must be at least 1, and no more than there ever were",
        );
    }
    if meta.state() == State::Unspecified {
        wrong("state", "must say in which state the record was");
    }
    if !Uuid::try_parse(&meta.uid).is_ok_and(|uid| !uid.is_nil()) {
        wrong("uid", "must be the UUID of the record, as it was exported");
    }
    if meta.state() == State::Embargoed && meta.embargo_time.is_none() {
        wrong("embargo_time", "is missing: the record is under embargo");
    }
    let is_of_kind = |text: &str| {
        Name::parse(text).is_some_and(|other| other.kind() == name.kind() && other != *name)
    };
    if meta.state() == State::Merged && !is_of_kind(&meta.merged_into) {
        wrong("merged_into", "must name the record that took its place");
    } else if meta.state() != State::Merged && !meta.merged_into.is_empty() {
        wrong("merged_into", "is for merged records only");
    }
    if let Some(place) = meta.merged_from.iter().position(|from| !is_of_kind(from)) {
        wrong(
            &format!("merged_from[{place}]"),
            "must name a record of this kind",
        );
    }
    at.leave();
    violations
}
