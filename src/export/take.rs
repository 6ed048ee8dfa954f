//! Runs an export: all partitions at once, each resumed where it was interrupted, then the manifest.

use std::{fmt, sync::Arc};

use anyhow::{Result, bail};
use dateline_client::{Connection, ExportPart, Exporting, Failure};
use dateline_export::{
    Destination, Manifest, Session, Shape,
    format::Referents,
    manifest::{DigestText, MANIFEST, Subject, directory},
    session::{Counted, Part, Progress, is_progress, join},
};
use dateline_proto::v1::{Digest, ExportRequest, Removal};
use dateline_record::encoded::Encoded;
use indicatif::HumanBytes;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::plan::{Plan, Wish};
use crate::{
    counting::Counting,
    output::{say, waits},
};

/// Responses decoded ahead of the writer.
const READ_AHEAD: usize = 2;

/// Outcome of an export.
pub struct Taken {
    place: String,
    manifest: Manifest,
    is_new: bool,
}

impl fmt::Display for Taken {
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
        write!(out, "\n{}/{MANIFEST}", self.place)
    }
}

/// Runs an export, or resumes one that was begun with the same options.
pub async fn take(server: &Connection, wish: &Wish, to: &Destination) -> Result<Taken> {
    let base = wish.base(to).await?;
    let plan = &wish.plan(base.as_ref())?;
    let base = base.map(|base| base.subject);
    let asked = plan.asked(base.as_ref())?;
    if let Some(begun) = begun(to, &asked).await? {
        say(format_args!(
            "going on with the export as of {}",
            begun.sequence
        ));
        match parts(server, plan, to, &asked, base.as_ref(), Some(&begun)).await {
            Err(error) if is_lost(&error) => {
                say(format_args!("{error:#}; beginning anew"));
                discard(&to.below(&directory(&begun)), plan).await?;
            }
            taken => return taken,
        }
    }
    parts(server, plan, to, &asked, base.as_ref(), None).await
}

/// An incomplete export that was begun with the same options.
async fn begun(to: &Destination, asked: &str) -> Result<Option<Subject>> {
    for name in to.directories().await? {
        let below = to.below(&name);
        let Some(progress) = Progress::read(&below, 0).await? else {
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

async fn discard(place: &Destination, plan: &Plan) -> Result<()> {
    for name in place.files().await? {
        if !is_progress(&name) {
            place.delete(&name).await?;
        }
    }
    for part in 0..plan.shape.part.1 {
        Progress::forget(place, part).await?;
    }
    place.remove();
    Ok(())
}

async fn parts(
    server: &Connection,
    plan: &Plan,
    to: &Destination,
    asked: &str,
    base: Option<&Subject>,
    begun: Option<&Subject>,
) -> Result<Taken> {
    // The first partition determines the sequence of the others.
    let mut request = plan.request.clone();
    if let Some(begun) = begun {
        request.sequence = Some(begun.sequence);
    }
    let mut first = Exporting::open(server, request.clone()).await?;
    let response = first.next(&mut waits).await?;
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
    let place = to.below(&directory(&subject));
    if place.get(MANIFEST).await?.is_some() {
        let manifest = Manifest::read(&place).await?;
        return finished(plan, place, subject, manifest).await;
    }
    place.tidy();
    request.sequence = Some(begin.sequence);
    let shown = Arc::new(Counting::new(plan.expected(&begin)));
    let mut taking = JoinSet::new();
    for part in 0..plan.shape.part.1 {
        let mut shape = plan.shape.clone();
        shape.part.0 = part;
        let one = One {
            server: server.clone(),
            request: ExportRequest {
                partition: part.into(),
                ..request.clone()
            },
            place: place.clone(),
            asked: asked.to_owned(),
            subject: subject.clone(),
            shape,
            shown: shown.clone(),
        };
        taking.spawn(one.take());
    }
    let mut parts = Vec::new();
    while let Some(part) = taking.join_next().await {
        parts.push(part??);
    }
    shown.finish();
    complete(plan, place, subject, parts, begin.digest.as_ref()).await
}

async fn complete(
    plan: &Plan,
    place: Destination,
    subject: Subject,
    parts: Vec<Part>,
    said: Option<&Digest>,
) -> Result<Taken> {
    let state = said.filter(|_| plan.is_whole());
    let is_delta = subject.since.is_some();
    let manifest = join(subject, &plan.shape, parts, state);
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
    if !place.put_new(MANIFEST, manifest.to_bytes()?).await? {
        bail!(
            "another export to {} was complete before this one; it stays as it is",
            place.shown()
        );
    }
    for part in 0..plan.shape.part.1 {
        Progress::forget(&place, part).await?;
    }
    Ok(Taken {
        place: place.shown().to_owned(),
        manifest,
        is_new: true,
    })
}

/// Returns an export that is complete already, if it has the same options.
async fn finished(
    plan: &Plan,
    place: Destination,
    mut subject: Subject,
    manifest: Manifest,
) -> Result<Taken> {
    for part in 0..plan.shape.part.1 {
        Progress::forget(&place, part).await?;
    }
    // A release with more fields does not need to export unchanged records again.
    subject.schema.clone_from(&manifest.subject.schema);
    let is_same = manifest.subject == subject
        && manifest.compression == plan.shape.compression
        && manifest.file_records == plan.shape.file_records
        && manifest.partitions == plan.shape.part.1
        && manifest.base_uri == plan.shape.options.base_uri
        && manifest.formats == plan.shape.formats;
    if !is_same {
        bail!(
            "{} holds a complete export of this sequence already, of other files; choose another --out",
            place.shown()
        );
    }
    Ok(Taken {
        place: place.shown().to_owned(),
        manifest,
        is_new: false,
    })
}

/// One partition in progress.
struct One {
    server: Connection,
    request: ExportRequest,
    place: Destination,
    asked: String,
    subject: Subject,
    shape: Shape,
    shown: Arc<Counting>,
}

impl One {
    async fn take(self) -> Result<Part> {
        let Self {
            server,
            mut request,
            place,
            asked,
            subject,
            shape,
            shown,
        } = self;
        let progress = Progress::read(&place, shape.part.0).await?;
        let progress = progress.filter(|it| it.asked == asked && it.subject == subject);
        let prepared_for = shape.clone();
        let mut session = match progress {
            None => Session::begin(place, asked, subject, shape).await?,
            Some(progress) => {
                shown.add(progress.records());
                if let Some(cursor) = progress.cursor() {
                    cursor.clone_into(&mut request.cursor);
                }
                Session::go_on(place, progress, shape)
            }
        };
        let mut stream = Exporting::open(&server, request).await?;
        // Decoding and hashing run on another core than encoding.
        let (told, mut parts) = mpsc::channel(READ_AHEAD);
        let _reading = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let part = stream.next(&mut waits).await;
                let part = part
                    .map_err(anyhow::Error::from)
                    .and_then(|part| Prepared::from(part, &prepared_for));
                let is_last = part.as_ref().map_or(true, |it| it.is_complete);
                if told.send(part).await.is_err() || is_last {
                    return;
                }
            }
        }));
        while let Some(part) = parts.recv().await {
            let part = part?;
            session.refer(part.referents);
            let new = session.take(part.records, part.removed, part.cursor);
            shown.add(new.await?);
            if part.is_complete {
                return Ok(session.finish().await?);
            }
        }
        bail!("reading what the server sends ended early")
    }
}

/// A response, decoded and hashed ahead of the writer.
struct Prepared {
    records: Vec<Counted>,
    referents: Arc<Referents>,
    removed: Vec<Removal>,
    cursor: String,
    is_complete: bool,
}

impl Prepared {
    fn from(part: ExportPart, shape: &Shape) -> Result<Self> {
        let records = part.records.into_iter().map(|bytes| {
            let record = Encoded::read(bytes)?;
            shape.prepare(&record)?;
            Ok(Counted::from(record))
        });
        Ok(Self {
            records: records.collect::<Result<_>>()?,
            referents: Arc::new(Referents::told(part.references)),
            removed: part.removed,
            cursor: part.cursor,
            is_complete: part.complete,
        })
    }
}
