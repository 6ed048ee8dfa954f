//! `dateline import DIR|URL`: loads a whole export from another database, with states and revisions.

use std::{collections::VecDeque, process::ExitCode};

use anyhow::{Result, bail};
use dateline_client::{Client, Failure};
use dateline_formats::export::{
    Destination, Manifest,
    manifest::{DigestText, FileEntry},
    reader::RecordReader,
};
use dateline_proto::v1::{LoadRecordsRequest, LoadRecordsResponse, Record, View};
use prost::Message;
use tokio_util::task::AbortOnDropHandle;

use super::Args;
use crate::{FAILED, feed, output::print_message, progress::RecordProgress};

/// Maximum number of records per load.
const BATCH_RECORDS: usize = 500;
/// Maximum bytes per load: below the server's limit, with room for the envelope.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
/// Maximum number of loads in flight: while the server writes one, it checks the next ones.
const LOADS_IN_FLIGHT: usize = 3;

/// Imports an export; existing records stay unchanged.
pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let destination = Destination::open_export(&args.file.to_string_lossy())?;
    let manifest = Manifest::read(&destination).await?;
    check(args, &manifest)?;
    let mut loader = ExportLoader {
        client: args.server.connect().await?,
        validate_only: args.dry_run,
        waiting: Vec::new(),
        bytes: 0,
        in_flight: VecDeque::new(),
        records: 0,
        progress: RecordProgress::new(Some(records(&manifest))),
    };
    let done = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => None,
        done = loader.load_all(&destination, &manifest) => Some(done),
    };
    loader.progress.finish();
    let Some(done) = done else {
        print_message(format_args!(
            "stopped after {} records; the same command goes on from here",
            loader.records
        ));
        return Ok(FAILED.into());
    };
    let has_written = done?;
    loader.report(&manifest, has_written).await?;
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Args, manifest: &Manifest) -> Result<()> {
    if manifest.subject.since.is_some() {
        bail!("this export is a delta: `dateline apply` makes a full one of it");
    }
    if manifest.subject.metadata_only {
        bail!("this export is one of metadata only: records would be taken for what they are not");
    }
    if args.publish || !args.original.is_empty() {
        bail!(
            "an export is imported as it was, states and all: leave --publish and --original out"
        );
    }
    Ok(())
}

/// Number of records in the export.
fn records(manifest: &Manifest) -> u64 {
    let shown = u64::try_from(manifest.digest.records).unwrap_or_default();
    shown.saturating_add(manifest.tombstone_records)
}

/// A load that was sent, and the number of its records.
type SentLoad = (u64, AbortOnDropHandle<Result<LoadRecordsResponse, Failure>>);

struct ExportLoader {
    client: Client,
    validate_only: bool,
    waiting: Vec<Record>,
    bytes: usize,
    /// Oldest first.
    in_flight: VecDeque<SentLoad>,
    /// Records of the loads that were answered.
    records: u64,
    progress: RecordProgress,
}

impl ExportLoader {
    /// Loads all records; returns true if any was new. Articles are loaded first, and all of them are answered before
    /// the rest is sent: the server checks quotes when both the article and the record that quotes it exist.
    async fn load_all(&mut self, destination: &Destination, manifest: &Manifest) -> Result<bool> {
        let is_article = |file: &FileEntry| file.holds == "articles";
        let articles = RecordReader::open_files(destination, manifest, is_article).await?;
        let has_written = self.load_records(articles).await?;
        let others =
            RecordReader::open_files(destination, manifest, |file| !is_article(file)).await?;
        Ok(self.load_records(others).await? || has_written)
    }

    /// Loads the records of some files, which do not depend on each other. After an error nothing more is sent, and the
    /// loads in flight are answered.
    async fn load_records(&mut self, mut records: RecordReader) -> Result<bool> {
        let mut outcome = self.send_all(&mut records).await;
        while !self.in_flight.is_empty() {
            let answered = self.next_answer().await;
            outcome = match (outcome, answered) {
                (Ok(has_written), Ok(written)) => Ok(has_written || written),
                (Err(first), _) | (_, Err(first)) => Err(first),
            };
        }
        outcome
    }

    async fn send_all(&mut self, records: &mut RecordReader) -> Result<bool> {
        let mut has_written = false;
        while let Some(record) = records.next().await? {
            let bytes = record.encoded_len();
            if self.waiting.len() >= BATCH_RECORDS || self.bytes + bytes > BATCH_BYTES {
                has_written |= self.send_batch().await?;
            }
            self.waiting.push(record);
            self.bytes += bytes;
        }
        Ok(self.send_batch().await? || has_written)
    }

    /// Sends the waiting records; waits for the oldest load if there are enough in flight. Returns true if that one has
    /// written something.
    async fn send_batch(&mut self) -> Result<bool> {
        let records = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let count = records.len() as u64;
        if count == 0 {
            return Ok(false);
        }
        let mut has_written = false;
        while self.in_flight.len() >= LOADS_IN_FLIGHT {
            has_written |= self.next_answer().await?;
        }
        let request = LoadRecordsRequest {
            records,
            validate_only: self.validate_only,
            ..LoadRecordsRequest::default()
        };
        let client = self.client.clone();
        let load = async move { client.load(request).await.map_err(Failure::from) };
        let load = AbortOnDropHandle::new(tokio::spawn(load));
        self.in_flight.push_back((count, load));
        Ok(has_written)
    }

    /// Waits for the oldest load; returns true if it has written something.
    async fn next_answer(&mut self) -> Result<bool> {
        let Some((count, load)) = self.in_flight.pop_front() else {
            return Ok(false);
        };
        let answer = load.await??;
        self.records += count;
        self.progress.add(count);
        for warning in &answer.warnings {
            let (field, what) = (&warning.field, &warning.description);
            print_message(format_args!("warning: {field}: {what}"));
        }
        Ok(answer.loaded > 0)
    }

    async fn report(&self, manifest: &Manifest, has_written: bool) -> Result<()> {
        let what = match (self.validate_only, has_written) {
            (true, _) => "could be imported; nothing was written",
            (false, true) => "are in",
            (false, false) => "were there already",
        };
        print_message(format_args!("{} records {what}", self.records));
        if self.validate_only {
            return Ok(());
        }
        // In a database that was not empty, the digests differ.
        let view = match manifest.subject.view.as_str() {
            "desk" => View::Desk,
            _ => View::Published,
        };
        let shown = feed::get(&self.client, view)
            .await?
            .digest
            .unwrap_or_default();
        if DigestText::from(&shown) == manifest.digest {
            print_message("the feed shows what the export shows: the digests are equal");
        } else if shown.records == manifest.digest.records {
            bail!("the feed has as many records as the export, and its digest is another one");
        } else {
            print_message(format_args!(
                "the feed shows {} records, the export {}: it was not empty, or not all of it was exported",
                shown.records, manifest.digest.records
            ));
        }
        Ok(())
    }
}
