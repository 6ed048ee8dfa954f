//! Handles successive versions of an item: decides which of two is newer, and updates the article. An item has exactly
//! one article, whatever its headline, and in whatever order and from however many imports its versions arrive.

use anyhow::{Result, bail};
use dateline_client::Failure;
use dateline_proto::v1::{
    Article, CommitRequest, Record, RecordMeta, RecordVersion, SourceItem, State, Write,
    record::Kind as Body,
    write::{self, Action},
};
use prost_types::FieldMask;

use super::{
    outgoing::{OnChange, Outgoing, source_item},
    refusal::Problem,
    release::Allowed,
    send::{Sender, is_about_records, is_same},
    version_step::{Age, Situation, Step, age},
};

/// Maximum number of attempts on a record that others change at the same time.
const TRIES: usize = 8;

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

impl Sender {
    /// Updates the article of an item to the version sent, as far as sender and caller allow.
    pub(super) async fn follow(
        &mut self,
        place: usize,
        mut sent: Outgoing,
        mut stored: Record,
    ) -> Result<()> {
        let name = stored
            .kind
            .as_ref()
            .map(Body::name)
            .unwrap_or_default()
            .to_owned();
        rename(&mut sent.record, &name);
        let mut has_written = false;
        for _ in 0..TRIES {
            let Ok(known) = stored_item(&sent, &stored) else {
                let what = "is there already as the article of another item; import never changes one for another";
                return self.refuse(&sent, what);
            };
            let step = self.situation(&sent, &stored, known.as_ref()).step();
            let Some(action) = action(&step, &sent, &stored, known.as_ref()) else {
                self.keep(place, &sent, &stored, step, has_written);
                return Ok(());
            };
            match self.write(action).await {
                Ok(()) if self.manner.dry_run => {
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
                    return self.left_alone(&sent, &failure);
                }
                Err(failure) => return Err(failure.into()),
            }
            match self.look_up(vec![name.clone()]).await?.remove(&name) {
                Some(newest) => stored = newest,
                None => {
                    return self.refuse(&sent, "was deleted meanwhile; names are never used again");
                }
            }
        }
        self.refuse(&sent, "is changed by others all the time; try again later")
    }

    /// Remembers an item that was canceled before its article existed. The name of a deleted draft is never reused
    /// (W10), so a later arrival of an older version is refused.
    pub(super) async fn cancel_unknown(&mut self, place: usize, sent: Outgoing) -> Result<()> {
        let is_own = sent
            .origin
            .as_ref()
            .is_some_and(|origin| origin.uid.is_some());
        if self.manner.dry_run || is_own {
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
                    return self.follow(place, sent, stored).await;
                }
            }
            Err(failure) if is_about_records(&failure) => return self.left_alone(&sent, &failure),
            Err(failure) => return Err(failure.into()),
        }
        if let Some(stub) = self.look_up(vec![name.clone()]).await?.remove(&name) {
            let version = version_of(&stub);
            self.write(Action::Delete(version)).await?;
        }
        self.report.canceled += 1;
        Ok(())
    }

    fn situation<'a>(
        &self,
        sent: &'a Outgoing,
        stored: &Record,
        known: Option<&SourceItem>,
    ) -> Situation<'a> {
        let item = sent.item().zip(known);
        // Nobody else has edited an article that this run created.
        let is_ours = self.made.contains(sent.name());
        Situation {
            sent,
            age: item.map_or(Age::Unknown, |(sent, stored)| age(sent, stored)),
            is_same: is_same(&without_item(&sent.record), &without_item(stored)),
            state: meta_of(stored).state(),
            status: known.map(SourceItem::status).unwrap_or_default(),
            publishes: self.manner.publishes,
            on_change: if is_ours {
                OnChange::Correct
            } else {
                self.manner.on_change
            },
        }
    }

    /// Leaves a record unchanged.
    fn keep(
        &mut self,
        place: usize,
        sent: &Outgoing,
        stored: &Record,
        step: Step,
        has_written: bool,
    ) {
        match step {
            Step::Older => self.report.older += 1,
            Step::Skip => self.report.skipped += 1,
            Step::Report(what) => {
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
                    self.remember(place, stored, sent);
                }
            }
        }
    }

    fn count(&mut self, step: &Step) {
        match step {
            Step::Update => self.report.updated += 1,
            Step::Correct => self.report.corrected += 1,
            Step::Retract => self.report.retracted += 1,
            Step::SendBack => self.report.sent_back += 1,
            _ => {}
        }
    }

    /// Reports a change that the server refuses: the record stays unchanged, and counts as a reject.
    fn left_alone(&mut self, sent: &Outgoing, failure: &Failure) -> Result<()> {
        let told = |field: &str| super::place::told(field, |_| Some(String::new()));
        let mut problems: Vec<_> = (failure.details().iter())
            .map(|(field, what)| Problem::new(&told(field), what))
            .collect();
        if problems.is_empty() {
            problems.push(Problem::new("", failure.message()));
        }
        let text = format!("{}: stays as it is: {}", sent.known_as(), failure.message());
        self.refused.push(sent.refused(&failure.reason, problems));
        if self.manner.leaves_out {
            return Ok(());
        }
        bail!("{text} [{}]", failure.reason)
    }

    async fn write(&mut self, action: Action) -> Result<(), Failure> {
        let request = CommitRequest {
            writes: vec![Write {
                action: Some(action),
            }],
            omit_content: true,
            validate_only: self.manner.dry_run,
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
    step: &Step,
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
        Step::Update => Some(Action::Update(write::Update {
            record: of_sent(),
            update_mask: mask(replaced),
        })),
        Step::Correct => Some(Action::Correct(write::Correct {
            record: of_sent(),
            update_mask: mask(replaced),
            note: note("Its source has sent a newer version."),
            ..write::Correct::default()
        })),
        Step::Retract => Some(Action::Retract(write::Retract {
            record: Some(version_of(stored)),
            note: note("Canceled by its source."),
            cascade: false,
        })),
        Step::SendBack => Some(Action::SendBack(write::SendBack {
            record: Some(version_of(stored)),
            note: note("Its source has sent a newer version."),
        })),
        Step::Mark => {
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
        Step::Keep | Step::Older | Step::Skip | Step::Report(_) => None,
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
