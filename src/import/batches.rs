//! Groups records into batches that fit a request.

use anyhow::{Error, anyhow};
use dateline_client::bulk::{FieldProblem, Outgoing, Rejection};
use dateline_formats::import::Source;
use dateline_record::release::Allowed;
use tokio::sync::mpsc;

use super::{originals::Originals, release};

/// Maximum number of records per batch.
const BATCH_RECORDS: usize = 1000;
/// Maximum encoded bytes per batch: below the server's limit, with room for the envelope.
const BATCH_BYTES: usize = 3 * 1024 * 1024;

/// A batch of records, or the end of reading.
pub(super) enum ImportBatch {
    Records {
        outgoing: Vec<Outgoing>,
        /// Errors of records between them that could not be read.
        unreadable: Vec<Rejection>,
    },
    /// Reading ended with an error.
    Failed {
        error: Error,
        unreadable: Vec<Rejection>,
        /// Items already read whose senders do not allow their use any more: they are retracted nevertheless.
        forbidden: Vec<Outgoing>,
    },
    /// Notes to print at the end.
    Noted(Vec<String>),
}

/// Options of reading.
#[derive(Clone, Copy)]
pub(super) struct ReadOptions {
    /// Records that cannot be read are left out; otherwise the first one ends the run.
    pub leaves_out: bool,
    /// Records are published whatever their state in the file.
    pub any_state: bool,
}

/// Reads until the end of the file, or until the receiver is dropped.
pub(super) fn read(
    mut source: Source,
    mut originals: Originals,
    read_options: ReadOptions,
    sender: &mpsc::Sender<ImportBatch>,
) {
    let mut batch = BatchBuilder::default();
    loop {
        let found = match source.next_record() {
            Ok(Some(found)) => found,
            Ok(None) => break,
            Err(error) => {
                if read_options.leaves_out {
                    let _ = sender.blocking_send(batch.build());
                }
                let _ = sender.blocking_send(batch.fail(error.into()));
                return;
            }
        };
        let outgoing = match found.content {
            Ok(content) => Outgoing {
                original: originals.find(&content.record, found.is_only_article),
                release: match &content.origin {
                    Some(_) => content.release,
                    None => release::of_record(&content.record, read_options.any_state),
                },
                record: content.record,
                origin: content.origin,
                position: found.position,
                line: found.line,
            },
            Err(message) => {
                let error = anyhow!("{}{}: {message}", source.file, found.position);
                batch
                    .unreadable
                    .push(unreadable(found.line, found.position, &message));
                if read_options.leaves_out {
                    if batch.unreadable.len() == BATCH_RECORDS
                        && sender.blocking_send(batch.build()).is_err()
                    {
                        return;
                    }
                    continue;
                }
                // The records before it in this batch are not sent either, except for forbidden ones: see
                // [`BatchBuilder::fail`].
                let _ = sender.blocking_send(batch.fail(error));
                return;
            }
        };
        let bytes = outgoing.encoded_len();
        if batch.is_full(bytes) && sender.blocking_send(batch.build()).is_err() {
            return;
        }
        batch.push(outgoing, bytes);
    }
    let _ = sender.blocking_send(batch.build());
    let unused = originals.unused();
    let unused = unused.map(|unused| {
        format!("no article in the file has the SHA-256 of {unused}; it was not sent")
    });
    let _ = sender.blocking_send(ImportBatch::Noted(unused.chain(source.notes()).collect()));
}

fn unreadable(line: u64, position: String, message: &str) -> Rejection {
    Rejection {
        line,
        position,
        name: String::new(),
        reason: "UNREADABLE".to_owned(),
        problems: vec![FieldProblem::new("", message)],
    }
}

#[derive(Default)]
struct BatchBuilder {
    outgoing: Vec<Outgoing>,
    unreadable: Vec<Rejection>,
    bytes: usize,
}

impl BatchBuilder {
    fn is_full(&self, bytes: usize) -> bool {
        let is_large = !self.outgoing.is_empty() && self.bytes + bytes > BATCH_BYTES;
        is_large || self.outgoing.len() == BATCH_RECORDS
    }

    fn push(&mut self, outgoing: Outgoing, bytes: usize) {
        self.bytes += bytes;
        self.outgoing.push(outgoing);
    }

    fn fail(self, error: Error) -> ImportBatch {
        let is_forbidden = |outgoing: &Outgoing| {
            matches!(
                outgoing.release.allowed,
                Allowed::Canceled | Allowed::Held { .. }
            )
        };
        ImportBatch::Failed {
            error,
            unreadable: self.unreadable,
            forbidden: self.outgoing.into_iter().filter(is_forbidden).collect(),
        }
    }

    fn build(&mut self) -> ImportBatch {
        self.bytes = 0;
        ImportBatch::Records {
            outgoing: std::mem::take(&mut self.outgoing),
            unreadable: std::mem::take(&mut self.unreadable),
        }
    }
}
