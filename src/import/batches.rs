//! Puts what is read together in batches that fit a request.

use anyhow::{Error, Result, anyhow};
use dateline_proto::v1::Record;
use tokio::sync::mpsc;

use super::{originals::Originals, source::Source};
use crate::{
    outgoing::{Origin, Outgoing},
    refusal::{Problem, Refusal},
    release::{Allowed, Release},
};

/// Records that wait for a commit.
const BATCH_RECORDS: usize = 1000;
/// Encoded bytes that wait for a commit: below what the server takes, with room for the envelope.
const BATCH_BYTES: usize = 3 * 1024 * 1024;

/// What was read.
pub(super) enum Batch {
    Records {
        outgoing: Vec<Outgoing>,
        /// What stood between them and could not be read.
        unreadable: Vec<Refusal>,
    },
    /// Nothing is read any more.
    Failed {
        error: Error,
        unreadable: Vec<Refusal>,
        /// Items that were read and that their senders do not allow any more: those are withdrawn all the same.
        forbidden: Vec<Outgoing>,
    },
    /// What is to be told at the end.
    Noted(Vec<String>),
}

/// A record that was found in a file, or what stands in its place.
pub(super) struct Found {
    /// `line 17`; empty where records have no place of their own.
    pub place: String,
    /// The number in it.
    pub line: u64,
    pub content: Result<Content, String>,
    /// It is the only article of a Bundle, so that an original is its own.
    pub is_only_article: bool,
}

/// A record as it was read.
pub(super) struct Content {
    pub record: Record,
    pub release: Release,
    /// Set for the items of others.
    pub origin: Option<Origin>,
}

impl From<Record> for Content {
    fn from(record: Record) -> Self {
        Self {
            record,
            release: Release::default(),
            origin: None,
        }
    }
}

/// How a file is read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// What cannot be read is left out; otherwise it is the end.
    pub leaves_out: bool,
    /// Records are released whatever state the file has them in.
    pub any_state: bool,
}

/// Reads to the end, or until nobody takes any more.
pub(super) fn read(
    mut source: Source,
    mut originals: Originals,
    reading: Reading,
    told: &mpsc::Sender<Batch>,
) {
    let mut batch = Open::default();
    loop {
        let found = match source.next() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                if reading.leaves_out {
                    let _ = told.blocking_send(batch.take());
                }
                let _ = told.blocking_send(batch.fail(error));
                return;
            }
        };
        let outgoing = match found.content {
            Ok(content) => Outgoing {
                original: originals.of(&content.record, found.is_only_article),
                release: match &content.origin {
                    Some(_) => content.release,
                    None => Release::of_record(&content.record, reading.any_state),
                },
                record: content.record,
                origin: content.origin,
                place: found.place,
                line: found.line,
            },
            Err(message) => {
                let error = anyhow!("{}{}: {message}", source.file, found.place);
                batch
                    .unreadable
                    .push(unreadable(found.line, found.place, &message));
                if reading.leaves_out {
                    if batch.unreadable.len() == BATCH_RECORDS
                        && told.blocking_send(batch.take()).is_err()
                    {
                        return;
                    }
                    continue;
                }
                // What comes before it in this batch is not sent: it is the last line that is wrong, not the first.
                let _ = told.blocking_send(batch.fail(error));
                return;
            }
        };
        let bytes = outgoing.encoded_len();
        if batch.is_full(bytes) && told.blocking_send(batch.take()).is_err() {
            return;
        }
        batch.push(outgoing, bytes);
    }
    let _ = told.blocking_send(batch.take());
    let unused = originals.unused();
    let unused = unused.map(|unused| {
        format!("no article in the file has the SHA-256 of {unused}; it was not sent")
    });
    let _ = told.blocking_send(Batch::Noted(unused.chain(source.notes()).collect()));
}

fn unreadable(line: u64, place: String, message: &str) -> Refusal {
    Refusal {
        line,
        place,
        name: String::new(),
        reason: "UNREADABLE".to_owned(),
        problems: vec![Problem::new("", message)],
    }
}

#[derive(Default)]
struct Open {
    outgoing: Vec<Outgoing>,
    unreadable: Vec<Refusal>,
    bytes: usize,
}

impl Open {
    fn is_full(&self, bytes: usize) -> bool {
        let is_large = !self.outgoing.is_empty() && self.bytes + bytes > BATCH_BYTES;
        is_large || self.outgoing.len() == BATCH_RECORDS
    }

    fn push(&mut self, outgoing: Outgoing, bytes: usize) {
        self.bytes += bytes;
        self.outgoing.push(outgoing);
    }

    fn fail(self, error: Error) -> Batch {
        let is_forbidden = |outgoing: &Outgoing| {
            matches!(
                outgoing.release.allowed,
                Allowed::Canceled | Allowed::Held { .. }
            )
        };
        Batch::Failed {
            error,
            unreadable: self.unreadable,
            forbidden: self.outgoing.into_iter().filter(is_forbidden).collect(),
        }
    }

    fn take(&mut self) -> Batch {
        self.bytes = 0;
        Batch::Records {
            outgoing: std::mem::take(&mut self.outgoing),
            unreadable: std::mem::take(&mut self.unreadable),
        }
    }
}
