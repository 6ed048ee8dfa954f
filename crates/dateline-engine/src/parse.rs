//! Parses one write of a request and checks it as far as possible without a stored record. Violations are collected,
//! not returned, so that all of them are reported at once (W6).

use dateline_proto::v1::{
    self, Record, RecordVersion, State, correction, record::Kind as Body, write::Action as Sent,
};
use dateline_record::record::record_name;
use dateline_record::{index::extract_terms, name::Name, revision::Revision, violation::Violation};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use super::{
    etag::Etag,
    request::{Action, Write, kind_field},
};

/// Longest etag that is parsed, in bytes.
const MAX_ETAG_BYTES: usize = 128;
/// Longest embargo.
const MAX_EMBARGO: Duration = Duration::days(3653);

/// Parser of one write of a request.
pub(super) struct WriteParser<'a> {
    pub index: usize,
    pub now: OffsetDateTime,
    pub violations: &'a mut Vec<Violation>,
}

impl WriteParser<'_> {
    /// Returns the write; `None` if it has violations, which were collected then.
    pub(super) fn parse(&mut self, action: Sent, etag: Etag) -> Option<Write> {
        let plain = |(name, etag): (Name, Etag), note: String, action: Action| Write {
            name,
            etag,
            note,
            action,
        };
        Some(match action {
            Sent::Create(create) => new_record(create)?,
            Sent::Update(update) => {
                let (body, version) = self.edited(update.record, etag, "update")?;
                let paths = update.update_mask.unwrap_or_default().paths;
                plain(version, String::new(), Action::Update { body, paths })
            }
            Sent::Correct(correct) => {
                let kind = self.correction_kind(correct.kind());
                let (body, version) = self.edited(correct.record, etag, "correct")?;
                let paths = correct.update_mask.unwrap_or_default().paths;
                let action = Action::Correct { body, paths, kind };
                plain(version, correct.note, action)
            }
            Sent::Delete(version) => {
                let version = self.version(Some(version), "delete")?;
                plain(version, String::new(), Action::Delete)
            }
            Sent::Submit(submit) => {
                let version = self.version(submit.record, "submit.record")?;
                plain(version, String::new(), Action::Submit)
            }
            Sent::SendBack(back) => {
                let version = self.version(back.record, "send_back.record")?;
                plain(version, back.note, Action::SendBack)
            }
            Sent::Publish(publish) => {
                let embargo = self.embargo(publish.embargo_time);
                let version = self.version(publish.record, "publish.record")?;
                plain(version, String::new(), Action::Publish { embargo })
            }
            Sent::Retract(retract) => {
                let version = self.version(retract.record, "retract.record")?;
                let cascade = retract.cascade;
                plain(version, retract.note, Action::Retract { cascade })
            }
            Sent::Merge(merge) => self.merge(merge)?,
            Sent::Unmerge(unmerge) => {
                let version = self.version(unmerge.record, "unmerge.record")?;
                plain(version, unmerge.note, Action::Unmerge)
            }
            Sent::Restore(restore) => {
                let version = self.version(restore.record, "restore.record")?;
                let revision = Revision::new(restore.revision);
                plain(version, restore.note, Action::Restore { revision })
            }
            Sent::Purge(purge) => {
                let version = self.version(purge.record, "purge.record")?;
                let cascade = purge.cascade;
                plain(version, purge.note, Action::Purge { cascade })
            }
        })
    }

    fn refuse(&mut self, field: &str, description: impl Into<String>) {
        let field = format!("writes[{}].{field}", self.index);
        self.violations.push(Violation::new(field, description));
    }

    /// Returns the body of an edited record, which may hold only some fields, with its name and etag.
    fn edited(
        &mut self,
        record: Option<Record>,
        etag: Etag,
        action: &str,
    ) -> Option<(Body, (Name, Etag))> {
        let record = record?;
        let Some(name) = record_name(&record) else {
            match &record.kind {
                Some(body) => self.refuse(
                    &format!("{action}.record.{}.name", kind_field(body)),
                    "is not a name of this kind of record",
                ),
                None => self.refuse(
                    &format!("{action}.record"),
                    "record is empty: set one of its kinds",
                ),
            }
            return None;
        };
        let body = record.kind?;
        self.check_etag(
            etag.as_str(),
            &format!("{action}.record.{}.meta.etag", kind_field(&body)),
        );
        Some((body, (name, etag)))
    }

    fn version(&mut self, version: Option<RecordVersion>, field: &str) -> Option<(Name, Etag)> {
        let version = version?;
        self.check_etag(&version.etag, &format!("{field}.etag"));
        Some((Name::parse(&version.name)?, version.etag.into()))
    }

    fn check_etag(&mut self, etag: &str, field: &str) {
        if etag.is_empty() {
            self.refuse(
                field,
                "must be the etag that was read: no change without knowing what is changed",
            );
        } else if etag.len() > MAX_ETAG_BYTES {
            let length = etag.len();
            self.refuse(
                field,
                format!("is {length} bytes long; no etag is longer than {MAX_ETAG_BYTES}"),
            );
        }
    }

    fn correction_kind(&mut self, kind: correction::Kind) -> correction::Kind {
        match kind {
            correction::Kind::Unspecified | correction::Kind::Correction => {
                correction::Kind::Correction
            }
            correction::Kind::Update => correction::Kind::Update,
            correction::Kind::Retraction => {
                self.refuse(
                    "correct.kind",
                    "must be CORRECTION or UPDATE; to withdraw a record, retract it",
                );
                correction::Kind::Correction
            }
        }
    }

    /// Returns the time until which a record stays hidden; `None` for immediate publication.
    fn embargo(&mut self, time: Option<prost_types::Timestamp>) -> Option<OffsetDateTime> {
        let time = time?;
        // An invalid timestamp was reported by its own rule.
        let until = OffsetDateTime::from_unix_timestamp(time.seconds).ok()?
            + Duration::nanoseconds(i64::from(time.nanos.clamp(0, 999_999_999)));
        if until - self.now > MAX_EMBARGO {
            self.refuse("publish.embargo_time", "is more than ten years ahead");
        }
        (until > self.now).then_some(until)
    }

    fn merge(&mut self, merge: v1::write::Merge) -> Option<Write> {
        let (name, etag) = self.version(merge.record, "merge.record")?;
        let (into, into_etag) = self.version(merge.into, "merge.into")?;
        if name == into {
            self.refuse(
                "merge.into.name",
                "is the same record; a record cannot be merged into itself",
            );
        } else if name.kind() != into.kind() {
            self.refuse(
                "merge.into.name",
                "is another kind of record; only records of one kind can be merged",
            );
        } else if name.kind() == v1::Kind::Article {
            self.refuse(
                "merge.record.name",
                "is an article; articles are sources, and are retracted, not merged",
            );
        }
        let action = Action::Merge { into, into_etag };
        Some(Write {
            name,
            etag,
            note: merge.note,
            action,
        })
    }
}

/// Parses a record to create.
fn new_record(create: v1::write::Create) -> Option<Write> {
    let body = create.record?.kind?;
    // A name that does not match its kind was reported by its own rule.
    let name = Name::parse(body.name()).filter(|name| name.kind() == body.kind())?;
    let mut body = body;
    if let Body::Article(article) = &mut body
        && !create.original.is_empty()
    {
        article.original_sha256 = hex::encode(Sha256::digest(&create.original));
    }
    let terms = extract_terms(&mut body, State::Draft);
    Some(Write {
        name,
        etag: Etag::default(),
        note: String::new(),
        action: Action::Create { body, terms },
    })
}
