//! Runs an export: all partitions at once, each resumed where it was interrupted, then the manifest.

use std::{fmt, sync::Arc};

use anyhow::{Result, bail};
use dateline_client::{Connection, EncodedExportResponse, ExportStream, Failure};
use dateline_formats::export::{
    Destination, ExportLayout, ExportWriter, Manifest,
    format::Referents,
    layout::MANIFEST,
    manifest::{DigestText, Subject, directory},
    writer::{ExportProgress, FinishedPart, HashedRecord, is_progress, join},
};
use dateline_proto::v1::{Digest, ExportRequest, Removal};
use dateline_record::encoded::EncodedRecord;
use indicatif::HumanBytes;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::plan::{ExportPlan, RequestedOptions};
use crate::{
    output::{print_message, report_outage},
    progress::RecordProgress,
};

/// Responses decoded ahead of the writer.
const READ_AHEAD: usize = 2;

/// Outcome of an export.
pub struct ExportSummary {
    destination: String,
    manifest: Manifest,
    is_new: bool,
}

impl fmt::Display for ExportSummary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest {
            subject,
            digest,
            removals,
            files,
            losses,
            ..
        } = &self.manifest;
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let what = if self.is_new { "" } else { "already there: " };
        write!(
            out,
            "{what}{} records at {} in {} files, {}",
            digest.records,
            subject.sequence,
            files.len(),
            HumanBytes(bytes)
        )?;
        if let Some(since) = subject.since {
            write!(out, "; {removals} are gone since {since}")?;
        }
        for (format, lost) in losses {
            let values: u64 = lost.fields().values().sum();
            if values > 0 {
                write!(
                    out,
                    "\n{format} could not say {values} values: {MANIFEST} counts them by field"
                )?;
            }
        }
        write!(out, "\n{}/{MANIFEST}", self.destination)
    }
}

/// Runs an export, or resumes one that was begun with the same options.
pub async fn run_export(
    server: &Connection,
    requested: &RequestedOptions,
    to: &Destination,
) -> Result<ExportSummary> {
    let base = requested.base(to).await?;
    let plan = &requested.plan(base.as_ref())?;
    let base = base.map(|base| base.subject);
    let asked = plan.asked(base.as_ref())?;
    if let Some(begun) = find_incomplete(to, &asked).await? {
        print_message(format_args!(
            "going on with the export as of {}",
            begun.sequence
        ));
        match export_partitions(server, plan, to, &asked, base.as_ref(), Some(&begun)).await {
            Err(error) if is_lost(&error) => {
                print_message(format_args!("{error:#}; beginning anew"));
                discard(&to.child(&directory(&begun)), plan).await?;
            }
            exported => return exported,
        }
    }
    export_partitions(server, plan, to, &asked, base.as_ref(), None).await
}

/// An incomplete export that was begun with the same options.
async fn find_incomplete(to: &Destination, asked: &str) -> Result<Option<Subject>> {
    for name in to.directories().await? {
        let below = to.child(&name);
        let Some(progress) = ExportProgress::read(&below, 0).await? else {
            continue;
        };
        if progress.asked == asked && below.get(MANIFEST).await?.is_none() {
            return Ok(Some(progress.subject));
        }
    }
    Ok(None)
}

/// True if the export cannot be resumed: the feed's history was replaced or compacted.
fn is_lost(error: &anyhow::Error) -> bool {
    let lost = [
        "CURSOR_FOREIGN",
        "CURSOR_EXPIRED",
        "CURSOR_IN_FUTURE",
        "INVALID_CURSOR",
    ];
    error
        .downcast_ref::<Failure>()
        .is_some_and(|failure| lost.contains(&failure.reason.as_str()))
}

async fn discard(destination: &Destination, plan: &ExportPlan) -> Result<()> {
    for name in destination.files().await? {
        if !is_progress(&name) {
            destination.delete(&name).await?;
        }
    }
    for part in 0..plan.layout.part.1 {
        ExportProgress::delete(destination, part).await?;
    }
    destination.remove();
    Ok(())
}

async fn export_partitions(
    server: &Connection,
    plan: &ExportPlan,
    to: &Destination,
    asked: &str,
    base: Option<&Subject>,
    begun: Option<&Subject>,
) -> Result<ExportSummary> {
    // The first partition determines the sequence of the others.
    let mut request = plan.request.clone();
    if let Some(begun) = begun {
        request.sequence = Some(begun.sequence);
    }
    let mut first = ExportStream::open(server, request.clone()).await?;
    let response = first.next(&mut report_outage).await?;
    let Some(begin) = response.begin else {
        bail!("the server did not say what its export is of");
    };
    drop(first);
    if !begin.references {
        bail!(
            "the server does not tell what records refer to: it is of an earlier release than this program; export with that one, or upgrade the server"
        );
    }
    // A delta spans one epoch: an older epoch may contain changes that do not exist any more.
    if base.is_some_and(|base| (&base.feed, base.epoch) != (&begin.feed, begin.epoch)) {
        bail!(
            "the export to build upon is of another feed, or of a history that this database did not take: take a full one"
        );
    }
    let subject = plan.subject(&begin)?;
    let destination = to.child(&directory(&subject));
    if destination.get(MANIFEST).await?.is_some() {
        let manifest = Manifest::read(&destination).await?;
        return reuse_complete(plan, destination, subject, manifest).await;
    }
    destination.remove_temporary_files();
    request.sequence = Some(begin.sequence);
    let counter = Arc::new(RecordProgress::new(plan.expected(&begin)));
    let mut running = JoinSet::new();
    for part in 0..plan.layout.part.1 {
        let mut layout = plan.layout.clone();
        layout.part.0 = part;
        let one = PartitionExport {
            server: server.clone(),
            request: ExportRequest {
                partition: part.into(),
                ..request.clone()
            },
            destination: destination.clone(),
            asked: asked.to_owned(),
            subject: subject.clone(),
            layout,
            counter: counter.clone(),
        };
        running.spawn(one.run());
    }
    let mut parts = Vec::new();
    while let Some(part) = running.join_next().await {
        parts.push(part??);
    }
    counter.finish();
    complete(plan, destination, subject, parts, begin.digest.as_ref()).await
}

async fn complete(
    plan: &ExportPlan,
    destination: Destination,
    subject: Subject,
    parts: Vec<FinishedPart>,
    said: Option<&Digest>,
) -> Result<ExportSummary> {
    let state = said.filter(|_| plan.is_whole());
    let is_delta = subject.since.is_some();
    let manifest = join(subject, &plan.layout, parts, state);
    if let Some(said) = state.map(DigestText::from).filter(|_| !is_delta)
        && said != manifest.digest
    {
        bail!(
            "what came is not what the feed shows at {}: {} records came, the feed has {}; nothing is told as complete. `dateline verify` names the records that differ at the server",
            manifest.subject.sequence,
            manifest.digest.records,
            said.records
        );
    }
    if !destination.put_new(MANIFEST, manifest.to_bytes()?).await? {
        bail!(
            "another export to {} was complete before this one; it stays as it is",
            destination.display_name()
        );
    }
    for part in 0..plan.layout.part.1 {
        ExportProgress::delete(&destination, part).await?;
    }
    Ok(ExportSummary {
        destination: destination.display_name().to_owned(),
        manifest,
        is_new: true,
    })
}

/// Returns an export that is complete already, if it has the same options.
async fn reuse_complete(
    plan: &ExportPlan,
    destination: Destination,
    mut subject: Subject,
    manifest: Manifest,
) -> Result<ExportSummary> {
    for part in 0..plan.layout.part.1 {
        ExportProgress::delete(&destination, part).await?;
    }
    // A release with more fields does not need to export unchanged records again.
    subject.schema.clone_from(&manifest.subject.schema);
    let is_same = manifest.subject == subject
        && manifest.compression == plan.layout.compression
        && manifest.file_records == plan.layout.file_records
        && manifest.partitions == plan.layout.part.1
        && manifest.base_uri == plan.layout.options.base_uri
        && manifest.formats == plan.layout.formats;
    if !is_same {
        bail!(
            "{} holds a complete export of this sequence already, of other files; choose another --out",
            destination.display_name()
        );
    }
    Ok(ExportSummary {
        destination: destination.display_name().to_owned(),
        manifest,
        is_new: false,
    })
}

/// One partition in progress.
struct PartitionExport {
    server: Connection,
    request: ExportRequest,
    destination: Destination,
    asked: String,
    subject: Subject,
    layout: ExportLayout,
    counter: Arc<RecordProgress>,
}

impl PartitionExport {
    async fn run(self) -> Result<FinishedPart> {
        let Self {
            server,
            mut request,
            destination,
            asked,
            subject,
            layout,
            counter,
        } = self;
        let progress = ExportProgress::read(&destination, layout.part.0).await?;
        let progress = progress.filter(|it| it.asked == asked && it.subject == subject);
        let prepared_for = layout.clone();
        let mut writer = match progress {
            None => ExportWriter::begin(destination, asked, subject, layout).await?,
            Some(progress) => {
                counter.add(progress.records());
                if let Some(cursor) = progress.cursor() {
                    cursor.clone_into(&mut request.cursor);
                }
                ExportWriter::resume(destination, progress, layout)
            }
        };
        let mut stream = ExportStream::open(&server, request).await?;
        // Decoding and hashing run on another core than encoding.
        let (sender, mut parts) = mpsc::channel(READ_AHEAD);
        let _reading = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let part = stream.next(&mut report_outage).await;
                let part = part
                    .map_err(anyhow::Error::from)
                    .and_then(|part| PreparedResponse::from(part, &prepared_for));
                let is_last = part.as_ref().map_or(true, |it| it.is_complete);
                if sender.send(part).await.is_err() || is_last {
                    return;
                }
            }
        }));
        while let Some(part) = parts.recv().await {
            let part = part?;
            writer.set_referents(part.referents);
            let new = writer.write(part.records, part.removed, part.cursor);
            counter.add(new.await?);
            if part.is_complete {
                return Ok(writer.finish().await?);
            }
        }
        bail!("reading what the server sends ended early")
    }
}

/// A response, decoded and hashed ahead of the writer.
struct PreparedResponse {
    records: Vec<HashedRecord>,
    referents: Arc<Referents>,
    removed: Vec<Removal>,
    cursor: String,
    is_complete: bool,
}

impl PreparedResponse {
    fn from(part: EncodedExportResponse, layout: &ExportLayout) -> Result<Self> {
        let records = part.records.into_iter().map(|bytes| {
            let record = EncodedRecord::from_bytes(bytes)?;
            layout.prepare(&record)?;
            Ok(HashedRecord::from(record))
        });
        Ok(Self {
            records: records.collect::<Result<_>>()?,
            referents: Arc::new(Referents::from_references(part.references)),
            removed: part.removed,
            cursor: part.cursor,
            is_complete: part.complete,
        })
    }
}
