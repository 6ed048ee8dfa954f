//! Records as another database had them, meta and all, made into a request: what is read back from an export.

use std::collections::HashSet;

use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    change::is_tombstone,
    name::Name,
    request::{Action, By, Request, Write, check_body, kind_field, request_id},
    violation::Violation,
    walk::Path,
};
use crate::proto::v1::{LoadRecordsRequest, Record, State};

impl Request {
    /// Records as another database had them, meta and all. They are checked one by one; that they fit each other was seen
    /// to there.
    ///
    /// # Errors
    /// Every violation (W6), with paths from the root of `LoadRecordsRequest`.
    pub fn load(load: LoadRecordsRequest, by: By) -> Result<Self, Vec<Violation>> {
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
        let mut seen = HashSet::new();
        for (index, write) in writes.iter().enumerate() {
            if !seen.insert(&write.name) {
                let what = format!("{} is there twice", write.name);
                violations.push(Violation::new(format!("records[{index}]"), what));
            }
        }
        if !violations.is_empty() {
            return Err(violations);
        }
        Ok(Self {
            id,
            fingerprint,
            by,
            preconditions: Vec::new(),
            writes,
            validate_only: load.validate_only,
            bytes,
            warnings: Vec::new(),
        })
    }

    /// Whether all of it is as another database had it.
    #[must_use]
    pub fn is_load(&self) -> bool {
        let mut writes = self.writes.iter();
        writes.all(|write| matches!(write.action, Action::Load { .. }))
    }
}

fn loaded(record: Record, index: usize) -> Result<Write, Vec<Violation>> {
    let at = format!("records[{index}]");
    let wrong = |field: &str, what: &str| vec![Violation::new(format!("{at}{field}"), what)];
    let Some(mut body) = record.kind else {
        return Err(wrong("", "is no record of any kind"));
    };
    let field = kind_field(&body);
    let in_meta = |of: &str, what: &str| wrong(&format!(".{field}.meta{of}"), what);
    let Some(mut meta) = body.take_meta() else {
        return Err(in_meta(
            "",
            "is missing: a record is loaded with its meta, as it was exported",
        ));
    };
    let Some(name) = Name::parse(body.name()).filter(|name| name.kind() == body.kind()) else {
        return Err(wrong(
            &format!(".{field}.name"),
            "is not the name of such a record",
        ));
    };
    if meta.revision < 1 {
        return Err(in_meta(".revision", "must be at least 1"));
    }
    if meta.state() == State::Unspecified {
        return Err(in_meta(".state", "must say in which state the record was"));
    }
    if Uuid::try_parse(&meta.uid).is_ok_and(|uid| uid.is_nil())
        || Uuid::try_parse(&meta.uid).is_err()
    {
        return Err(in_meta(
            ".uid",
            "must be the UUID of the record, as it was exported",
        ));
    }
    // Numbers are those of the feed that it comes to.
    meta.sequence = 0;
    // Of what was withdrawn, readers were left a name only.
    if !is_tombstone(meta.state()) {
        let mut path = Path::default();
        path.enter(field);
        let found = check_body(&mut body, &mut path).violations;
        if !found.is_empty() {
            let renamed = found.into_iter().map(|violation| {
                Violation::new(format!("{at}.{}", violation.field), violation.description)
            });
            return Err(renamed.collect());
        }
    }
    Ok(Write {
        name,
        etag: String::new(),
        note: String::new(),
        action: Action::Load {
            body,
            meta: Box::new(meta),
        },
    })
}
