//! Groups records into batches that fit a request.

use anyhow::{Error, Result, anyhow};
use dateline_proto::v1::Record;
use tokio::sync::mpsc;

use super::{originals::Originals, source::Source};
use crate::{
    outgoing::{Origin, Outgoing},
    refusal::{Problem, Refusal},
    release::{Allowed, Release},
};

/// Maximum number of records per batch.
const BATCH_RECORDS: usize = 1000;
/// Maximum encoded bytes per batch: below the server's limit, with room for the envelope.
const BATCH_BYTES: usize = 3 * 1024 * 1024;

/// A batch of records, or the end of reading.
pub(super) enum Batch {
    Records {
        outgoing: Vec<Outgoing>,
        /// Errors of records between them that could not be read.
        unreadable: Vec<Refusal>,
    },
    /// Reading ended with an error.
    Failed {
        error: Error,
        unreadable: Vec<Refusal>,
        /// Items already read whose senders do not allow their use any more: they are retracted nevertheless.
        forbidden: Vec<Outgoing>,
    },
    /// Notes to print at the end.
    Noted(Vec<String>),
}

/// A record of a file, or its error.
pub(super) struct Found {
    /// `line 17`; empty if records have no position of their own.
    pub place: String,
    /// The number in `place`.
    pub line: u64,
    pub content: Result<Content, String>,
    /// True for the only article of a Bundle: a single original belongs to it.
    pub is_only_article: bool,
}

/// A record as read.
pub(super) struct Content {
    pub record: Record,
    pub release: Release,
    /// Set for items of other publishers.
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

/// Options of reading.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Records that cannot be read are left out; otherwise the first one ends the run.
    pub leaves_out: bool,
    /// Records are published whatever their state in the file.
    pub any_state: bool,
}

/// Reads until the end of the file, or until the receiver is dropped.
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
                // The records before it in this batch are not sent either, except for forbidden ones: see
                // [`Open::fail`].
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
