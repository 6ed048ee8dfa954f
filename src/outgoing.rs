//! Records on their way to a server, and what became of them.

use std::fmt;

use dateline_proto::v1::{Record, SourceItem, record::Kind as Body};
use prost::Message;

use super::{
    refusal::{Notice, Problem, Refusal},
    release::Release,
};

/// A record on its way, and where it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Outgoing {
    /// As read.
    pub record: Record,
    /// The article's text as received, if it is known.
    pub original: Vec<u8>,
    /// `line 17`; empty when the file has no lines of its own.
    pub place: String,
    /// The number in it.
    pub line: u64,
    /// The use that its sender allows.
    pub release: Release,
    /// Set for the items of others, of which newer versions may come.
    pub origin: Option<Origin>,
}

/// An item of another publisher, beyond what its record says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Origin {
    /// Another name that its article may have, from the time when names followed headlines.
    pub earlier_name: String,
    /// The uid of the record, if it is an export of a Dateline.
    pub uid: Option<String>,
}

impl Outgoing {
    /// Bytes that it takes in a request, about.
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

    /// The item that it was made of.
    pub(super) fn item(&self) -> Option<&SourceItem> {
        self.origin.as_ref()?;
        source_item(&self.record)
    }

    /// The position and name for messages: `line 17: actors/nato`.
    pub(super) fn known_as(&self) -> String {
        let parts = [self.place.as_str(), self.name()]
            .into_iter()
            .filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    }

    pub(super) fn refused(&self, reason: &str, problems: Vec<Problem>) -> Refusal {
        Refusal {
            line: self.line,
            place: self.place.clone(),
            name: self.name().to_owned(),
            reason: reason.to_owned(),
            problems,
        }
    }

    /// Something that a person should know of a record that was not refused.
    pub(super) fn notice(&self, word: &'static str, reason: &str, what: &str) -> Notice {
        Notice {
            word,
            is_open: true,
            about: self.refused(reason, vec![Problem::new("", what)]),
        }
    }
}

/// The item of another publisher that a record was made of.
pub(super) fn source_item(record: &Record) -> Option<&SourceItem> {
    match &record.kind {
        Some(Body::Article(article)) => article.source_item.as_ref(),
        _ => None,
    }
}

/// What is done about a newer version of an item that is there already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnChange {
    Correct,
    #[default]
    Report,
    Skip,
}

/// How records are sent.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Manner {
    /// Nothing is written; the server says what it would say.
    pub dry_run: bool,
    /// A record that is refused is left out, and the others go on; otherwise the first refusal is the end.
    pub leaves_out: bool,
    /// Drafts are remembered, to be published.
    pub publishes: bool,
    /// What newer versions do.
    pub on_change: OnChange,
}

/// What became of the records.
#[derive(Debug, Default, Clone)]
pub(super) struct Report {
    pub created: usize,
    pub unchanged: usize,
    pub published: usize,
    /// Published, and hidden until a time.
    pub embargoed: usize,
    /// Drafts that got the content of a newer version.
    pub updated: usize,
    pub corrected: usize,
    pub retracted: usize,
    /// Taken back before they were published.
    pub sent_back: usize,
    /// Canceled by their sender, so never created.
    pub canceled: usize,
    /// Versions that are older than what is there.
    pub older: usize,
    /// Newer versions that were left out, as asked.
    pub skipped: usize,
    /// The last sequences that the server answered with.
    pub sequence: i64,
}

impl Report {
    pub(super) fn sent(&self) -> usize {
        let changed = self.updated + self.corrected + self.retracted + self.canceled;
        self.created + self.unchanged + changed + self.older + self.skipped
    }

    /// What there is beside records that are new, the same, or published.
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
        let told: Vec<_> = counts
            .map(|(count, what)| format!(", {count} {what}"))
            .collect();
        told.concat()
    }
}

impl fmt::Display for Report {
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
