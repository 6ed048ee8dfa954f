//! Records to be sent to a server, and the counts of their outcomes.

use std::fmt;

use dateline_proto::v1::{Record, SourceItem, record::Kind as Body};
use dateline_record::release::{ItemOrigin, Release};
use prost::Message;

use super::rejection::{FieldProblem, Notice, Rejection};

/// A record to be sent, and its position in the source.
#[derive(Debug, Clone, Default)]
pub(super) struct Outgoing {
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
    pub(super) fn encoded_len(&self) -> usize {
        self.record.encoded_len() + self.original.len() + 16
    }

    pub(super) fn name(&self) -> &str {
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
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnChange {
    Correct,
    #[default]
    Report,
    Skip,
}

/// Options of sending.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct WriteOptions {
    /// Nothing is written; the server only checks.
    pub dry_run: bool,
    /// Refused records are left out and the others sent; otherwise the first rejection ends the run.
    pub leaves_out: bool,
    /// Drafts are queued for publication.
    pub publishes: bool,
    /// Action on newer versions.
    pub on_change: OnChange,
}

/// Counts of outcomes.
#[derive(Debug, Default, Clone)]
pub(super) struct WriteReport {
    pub created: usize,
    pub unchanged: usize,
    pub published: usize,
    /// Published under an embargo.
    pub embargoed: usize,
    /// Drafts updated to a newer version.
    pub updated: usize,
    pub corrected: usize,
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
    pub(super) fn sent(&self) -> usize {
        let changed = self.updated + self.corrected + self.retracted + self.canceled;
        self.created + self.unchanged + changed + self.older + self.skipped
    }

    /// The counts other than new, unchanged and published, as text.
    pub(super) fn others(&self) -> String {
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
