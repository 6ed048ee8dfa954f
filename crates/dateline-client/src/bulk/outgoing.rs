//! Records to be sent to a server, options of sending, and counts of outcomes.

use std::fmt;

use dateline_proto::v1::{Record, SourceItem, record::Kind as Body};
use dateline_record::release::{ItemOrigin, Release};
use prost::Message;

use super::rejection::{FieldProblem, Notice, Rejection};

/// A record to be sent, and its position in the source.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// The record as read.
    pub record: Record,
    /// The article's text as received, if known.
    pub original: Vec<u8>,
    /// `line 17`; empty if the file has no lines of its own.
    pub position: String,
    /// The number in `position`.
    pub line: u64,
    /// The use that the sender allows.
    pub release: Release,
    /// Set for items of other publishers, which may have newer versions.
    pub origin: Option<ItemOrigin>,
}

impl Outgoing {
    /// Approximate size in a request, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.record.encoded_len() + self.original.len() + 16
    }

    /// Name of the record; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.record
            .kind
            .as_ref()
            .map(Body::name)
            .unwrap_or_default()
    }

    /// The item that the record was made from.
    pub(super) fn item(&self) -> Option<&SourceItem> {
        self.origin.as_ref()?;
        source_item(&self.record)
    }

    /// The position and name for messages: `line 17: actors/nato`.
    pub(super) fn label(&self) -> String {
        let parts = [self.position.as_str(), self.name()]
            .into_iter()
            .filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    }

    pub(super) fn to_rejection(&self, reason: &str, problems: Vec<FieldProblem>) -> Rejection {
        Rejection {
            line: self.line,
            position: self.position.clone(),
            name: self.name().to_owned(),
            reason: reason.to_owned(),
            problems,
        }
    }

    /// A notice about a record that was not refused.
    pub(super) fn notice(&self, word: &'static str, reason: &str, what: &str) -> Notice {
        Notice {
            word,
            is_open: true,
            about: self.to_rejection(reason, vec![FieldProblem::new("", what)]),
        }
    }
}

/// The item of another publisher that a record was made from.
pub(super) fn source_item(record: &Record) -> Option<&SourceItem> {
    match &record.kind {
        Some(Body::Article(article)) => article.source_item.as_ref(),
        _ => None,
    }
}

/// Action on a newer version of an item that exists already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// Take it over.
    Correct,
    /// Leave the record as it is, and report it.
    #[default]
    Report,
    /// Leave the record as it is.
    Skip,
}

/// A record that stays as it is although its sender wants it otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// Its sender has canceled it, and it is published.
    Canceled,
    /// Its sender withholds it, and it is published.
    Withheld,
    /// Its sender has a newer version.
    Newer,
    /// Its sender has a newer version, and it is under embargo.
    UnderEmbargo,
    /// It is withdrawn in the file, and published.
    Withdrawn,
}

impl Conflict {
    fn text(self) -> &'static str {
        match self {
            Self::Canceled => "its sender has canceled it, and it is published here",
            Self::Withheld => "its sender withholds it, and it is published here",
            Self::Newer => "its sender has a newer version",
            Self::UnderEmbargo => "it is under embargo here",
            Self::Withdrawn => "is withdrawn in the file, and published here",
        }
    }

    /// The conflict as text, with advice on it.
    pub(super) fn describe(self, advice: Option<Advice>) -> String {
        let advice = advice.map_or("", |advice| advice(self));
        format!("{}{advice}", self.text())
    }
}

/// The end of a sentence about a conflict: what can be done about it.
pub(super) type Advice = fn(Conflict) -> &'static str;

/// Options of sending.
#[derive(Debug, Default, Clone, Copy)]
pub struct WriteOptions {
    /// Nothing is written; the server only checks.
    pub dry_run: bool,
    /// Refused records are left out and the others sent; otherwise the first rejection ends the run.
    pub leaves_out: bool,
    /// Drafts are queued for publication.
    pub publishes: bool,
    /// Action on newer versions.
    pub on_change: OnChange,
    /// The end of a sentence about a conflict, such as `; --force takes it over`.
    pub advice: Option<fn(Conflict) -> &'static str>,
}

/// Counts of outcomes.
#[derive(Debug, Default, Clone)]
pub struct WriteReport {
    /// Drafts created.
    pub created: usize,
    /// Records that were there already.
    pub unchanged: usize,
    /// Records published at once.
    pub published: usize,
    /// Published under an embargo.
    pub embargoed: usize,
    /// Drafts updated to a newer version.
    pub updated: usize,
    /// Published records corrected.
    pub corrected: usize,
    /// Published records retracted.
    pub retracted: usize,
    /// Records returned to draft before their publication.
    pub sent_back: usize,
    /// Canceled by their sender, and never created.
    pub canceled: usize,
    /// Versions older than the stored one.
    pub older: usize,
    /// Newer versions skipped on request.
    pub skipped: usize,
    /// The latest sequence that the server returned.
    pub sequence: i64,
}

impl WriteReport {
    /// Number of records that were sent or found.
    #[must_use]
    pub fn sent(&self) -> usize {
        let changed = self.updated + self.corrected + self.retracted + self.canceled;
        self.created + self.unchanged + changed + self.older + self.skipped
    }

    /// The counts other than new, unchanged and published, as text.
    #[must_use]
    pub fn others(&self) -> String {
        let counts = [
            (self.embargoed, "under embargo"),
            (self.updated, "drafts updated"),
            (self.corrected, "corrected"),
            (self.retracted, "retracted"),
            (self.sent_back, "sent back"),
            (self.canceled, "canceled and not created"),
            (self.older, "older than what is there"),
            (self.skipped, "newer and skipped"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let parts_text: Vec<_> = counts
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        parts_text.concat()
    }
}

impl fmt::Display for WriteReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} created, {} already there, {} published{}",
            self.created,
            self.unchanged,
            self.published,
            self.others()
        )
    }
}
