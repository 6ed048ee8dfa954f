//! Handles successive versions of an item: decides which of two is newer, and updates the article. An item has exactly
//! one article, whatever its headline, and in whatever order and from however many imports its versions arrive.

use dateline_proto::v1::{
    Article, CommitRequest, Record, RecordMeta, RecordVersion, SourceItem, State, Write,
    record::Kind as Body,
    write::{self, Action},
};
use dateline_record::release::Allowed;
use prost_types::FieldMask;

use super::{
    Error, field_path,
    outgoing::{OnChange, Outgoing, source_item},
    rejection::{FieldProblem, is_about_records},
    version_step::{Age, StepContext, VersionStep, age},
    writer::{BulkWriter, is_same},
};
use crate::Failure;

/// Maximum number of attempts on a record that others change at the same time.
const MAX_ATTEMPTS: usize = 8;

/// Maximum length of a public note, in code points.
const MAX_NOTE: usize = 2000;

/// Fields that a newer version replaces. Additions of editors (mentions, the publisher's record) stay.
const REPLACED: [&str; 11] = [
    "headline",
    "body",
    "language_code",
    "summary",
    "bylines",
    "published",
    "source_url",
    "sources",
    "topics",
    "usage_terms",
    "source_item",
];

/// Fields replaced by an export of a record, which holds less than the record.
const REPLACED_BY_EXPORT: [&str; 6] = [
    "headline",
    "body",
    "language_code",
    "summary",
    "usage_terms",
    "source_item",
];

impl BulkWriter {
    /// Updates the article of an item to the version sent, as far as sender and caller allow.
    pub(super) async fn apply_version(
        &mut self,
        position: usize,
        mut sent: Outgoing,
        mut stored: Record,
    ) -> Result<(), Error> {
        let name = stored
            .kind
            .as_ref()
            .map(Body::name)
            .unwrap_or_default()
            .to_owned();
        rename(&mut sent.record, &name);
        let mut has_written = false;
        for _ in 0..MAX_ATTEMPTS {
            let Ok(known) = stored_item(&sent, &stored) else {
                let what = "is there already as the article of another item; import never changes one for another";
                return self.reject(&sent, what);
            };
            let step = self.step_context(&sent, &stored, known.as_ref()).step();
            let Some(action) = action(&step, &sent, &stored, known.as_ref()) else {
                self.leave_unchanged(position, &sent, &stored, step, has_written);
                return Ok(());
            };
            match self.write(action).await {
                Ok(()) if self.options.dry_run => {
                    self.count(&step);
                    return Ok(());
                }
                Ok(()) => {
                    self.count(&step);
                    has_written = true;
                }
                // Another client was faster.
                Err(failure)
                    if matches!(failure.reason.as_str(), "ETAG_MISMATCH" | "WRONG_STATE") => {}
                Err(failure) if is_about_records(&failure) => {
                    return self.reject_change(&sent, &failure);
                }
                Err(failure) => return Err(failure.into()),
            }
            match self.look_up(vec![name.clone()]).await?.remove(&name) {
                Some(newest) => stored = newest,
                None => {
                    return self.reject(&sent, "was deleted meanwhile; names are never used again");
                }
            }
        }
        self.reject(&sent, "is changed by others all the time; try again later")
    }

    /// Remembers an item that was canceled before its article existed. The name of a deleted draft is never reused
    /// (W10), so a later arrival of an older version is refused.
    pub(super) async fn cancel_unknown(
        &mut self,
        position: usize,
        sent: Outgoing,
    ) -> Result<(), Error> {
        let is_own = sent
            .origin
            .as_ref()
            .is_some_and(|origin| origin.uid.is_some());
        if self.options.dry_run || is_own {
            self.report.canceled += 1;
            return Ok(());
        }
        let name = sent.name().to_owned();
        let stub = Article {
            name: name.clone(),
            headline: "Canceled by its source".to_owned(),
            language_code: "und".to_owned(),
            source_item: sent.item().cloned(),
            ..Article::default()
        };
        let create = Action::Create(write::Create {
            record: Some(Record::from(Body::Article(stub))),
            original: Vec::new(),
        });
        match self.write(create).await {
            Ok(()) => {}
            Err(failure) if failure.reason == "NAME_TAKEN" => {
                if let Some(stored) = self.look_up(vec![name.clone()]).await?.remove(&name) {
                    return self.apply_version(position, sent, stored).await;
                }
            }
            Err(failure) if is_about_records(&failure) => {
                return self.reject_change(&sent, &failure);
            }
            Err(failure) => return Err(failure.into()),
        }
        if let Some(stub) = self.look_up(vec![name.clone()]).await?.remove(&name) {
            let version = version_of(&stub);
            self.write(Action::Delete(version)).await?;
        }
        self.report.canceled += 1;
        Ok(())
    }

    fn step_context<'a>(
        &self,
        sent: &'a Outgoing,
        stored: &Record,
        known: Option<&SourceItem>,
    ) -> StepContext<'a> {
        let item = sent.item().zip(known);
        // Nobody else has edited an article that this run created.
        let is_ours = self.made.contains(sent.name());
        StepContext {
            sent,
            age: item.map_or(Age::Unknown, |(sent, stored)| age(sent, stored)),
            is_same: is_same(&without_item(&sent.record), &without_item(stored)),
            state: meta_of(stored).state(),
            status: known.map(SourceItem::status).unwrap_or_default(),
            publishes: self.options.publishes,
            on_change: if is_ours {
                OnChange::Correct
            } else {
                self.options.on_change
            },
            advice: self.options.advice,
        }
    }

    /// Leaves a record unchanged.
    fn leave_unchanged(
        &mut self,
        position: usize,
        sent: &Outgoing,
        stored: &Record,
        step: VersionStep,
        has_written: bool,
    ) {
        match step {
            VersionStep::Older => self.report.older += 1,
            VersionStep::Skip => self.report.skipped += 1,
            VersionStep::Report(what) => {
                self.notices
                    .push(sent.notice("not taken over", "CHANGED_AT_SOURCE", &what));
            }
            _ => {
                if !has_written {
                    self.report.unchanged += 1;
                }
                let is_draft = meta_of(stored).state() == State::Draft;
                if is_draft && sent.release.allowed == Allowed::Canceled {
                    let what = "its sender has canceled it; the draft stays a draft";
                    self.notices
                        .push(sent.notice("not published", "CANCELED", what));
                } else {
                    self.queue_publication(position, stored, sent);
                }
            }
        }
    }

    fn count(&mut self, step: &VersionStep) {
        match step {
            VersionStep::Update => self.report.updated += 1,
            VersionStep::Correct => self.report.corrected += 1,
            VersionStep::Retract => self.report.retracted += 1,
            VersionStep::SendBack => self.report.sent_back += 1,
            _ => {}
        }
    }

    /// Reports a change that the server refuses: the record stays unchanged, and counts as a reject.
    fn reject_change(&mut self, sent: &Outgoing, failure: &Failure) -> Result<(), Error> {
        let describe = |field: &str| field_path::describe(field, |_| Some(String::new()));
        let mut problems: Vec<_> = (failure.details().iter())
            .map(|(field, what)| FieldProblem::new(&describe(field), what))
            .collect();
        if problems.is_empty() {
            problems.push(FieldProblem::new("", failure.message()));
        }
        let text = format!("{}: stays as it is: {}", sent.label(), failure.message());
        self.refused
            .push(sent.to_rejection(&failure.reason, problems));
        if self.options.leaves_out {
            return Ok(());
        }
        Err(Error::Records(format!("{text} [{}]", failure.reason)))
    }

    async fn write(&mut self, action: Action) -> Result<(), Failure> {
        let request = CommitRequest {
            writes: vec![Write {
                action: Some(action),
            }],
            omit_content: true,
            validate_only: self.options.dry_run,
            ..CommitRequest::default()
        };
        let answer = self.client.commit(request).await.map_err(Failure::from)?;
        self.report.sequence = self.report.sequence.max(answer.sequence);
        Ok(())
    }
}

/// The item of a stored record; an error if the record belongs to another item.
fn stored_item(sent: &Outgoing, stored: &Record) -> Result<Option<SourceItem>, ()> {
    let own = sent
        .origin
        .as_ref()
        .and_then(|origin| origin.uid.as_deref());
    let sent_item = sent.item().ok_or(())?;
    let meta = meta_of(stored);
    match (source_item(stored), own) {
        (Some(item), _) if item.uri == sent_item.uri => Ok(Some(item.clone())),
        // The exported record itself: its revisions are its versions.
        (_, Some(uid)) if uid == meta.uid => Ok(Some(SourceItem {
            uri: sent_item.uri.clone(),
            version: meta.revision.to_string(),
            status: sent_item.status,
            ..SourceItem::default()
        })),
        (Some(_), _) | (None, Some(_)) => Err(()),
        (None, None) => Ok(None),
    }
}

fn action(
    step: &VersionStep,
    sent: &Outgoing,
    stored: &Record,
    known: Option<&SourceItem>,
) -> Option<Action> {
    let is_own = sent
        .origin
        .as_ref()
        .is_some_and(|origin| origin.uid.is_some());
    let replaced: &[&str] = if is_own {
        &REPLACED_BY_EXPORT
    } else {
        &REPLACED
    };
    let mask = |paths: &[&str]| {
        Some(FieldMask {
            paths: paths.iter().map(ToString::to_string).collect(),
        })
    };
    let etag = meta_of(stored).etag;
    let of_sent = || Some(with_etag(sent.record.clone(), &etag));
    let note = |otherwise: &str| note(&sent.release.note, otherwise);
    match step {
        VersionStep::Update => Some(Action::Update(write::Update {
            record: of_sent(),
            update_mask: mask(replaced),
        })),
        VersionStep::Correct => Some(Action::Correct(write::Correct {
            record: of_sent(),
            update_mask: mask(replaced),
            note: note("Its source has sent a newer version."),
            ..write::Correct::default()
        })),
        VersionStep::Retract => Some(Action::Retract(write::Retract {
            record: Some(version_of(stored)),
            note: note("Canceled by its source."),
            cascade: false,
        })),
        VersionStep::SendBack => Some(Action::SendBack(write::SendBack {
            record: Some(version_of(stored)),
            note: note("Its source has sent a newer version."),
        })),
        VersionStep::Mark => {
            let item = sent.item()?;
            let marked = Article {
                name: sent.name().to_owned(),
                source_item: Some(SourceItem {
                    embargo_time: item.embargo_time.or_else(|| known?.embargo_time),
                    ..item.clone()
                }),
                ..Article::default()
            };
            Some(Action::Update(write::Update {
                record: Some(with_etag(Record::from(Body::Article(marked)), &etag)),
                update_mask: mask(&["source_item"]),
            }))
        }
        VersionStep::Keep | VersionStep::Older | VersionStep::Skip | VersionStep::Report(_) => None,
    }
}

/// The sender's note, or the default; cut to the length that the service accepts.
fn note(note: &str, otherwise: &str) -> String {
    let text = if note.is_empty() { otherwise } else { note };
    if text.chars().count() <= MAX_NOTE {
        return text.to_owned();
    }
    text.chars().take(MAX_NOTE - 1).chain(['…']).collect()
}

fn rename(record: &mut Record, name: &str) {
    if let Some(Body::Article(article)) = &mut record.kind {
        name.clone_into(&mut article.name);
    }
}

fn with_etag(mut record: Record, etag: &str) -> Record {
    if let Some(Body::Article(article)) = &mut record.kind {
        article.meta = Some(RecordMeta {
            etag: etag.to_owned(),
            ..RecordMeta::default()
        });
    }
    record
}

fn without_item(record: &Record) -> Record {
    let mut record = record.clone();
    if let Some(Body::Article(article)) = &mut record.kind {
        article.source_item = None;
    }
    record
}

fn meta_of(record: &Record) -> RecordMeta {
    let meta = record.kind.as_ref().and_then(Body::meta);
    meta.cloned().unwrap_or_default()
}

fn version_of(record: &Record) -> RecordVersion {
    RecordVersion {
        name: record
            .kind
            .as_ref()
            .map(Body::name)
            .unwrap_or_default()
            .to_owned(),
        etag: meta_of(record).etag,
    }
}

#[cfg(test)]
mod tests {
    use super::note;

    #[test]
    fn a_note_fits_whatever_its_sender_wrote() {
        assert_eq!(note("", "Otherwise."), "Otherwise.");
        assert_eq!(note("Mended.", "Otherwise."), "Mended.");
        assert_eq!(note(&"é".repeat(2001), "").chars().count(), 2000);
    }
}
