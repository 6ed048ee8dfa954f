//! Sends records as an editor would: creates drafts, then publishes the records that belong together. Existing
//! identical records are left unchanged, so that the next run completes an interrupted one.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use dateline_proto::v1::{
    BatchGetRecordsRequest, CommitRequest, Record, State, View, Write, record::Kind as Body, write,
};
use dateline_record::record::record_name;
use dateline_record::{
    index::extract_terms, name::Name, release::Allowed, validate::validate, walk::Path,
};

use tokio::task::JoinSet;

use super::{
    Error, field_path,
    outgoing::{Conflict, Outgoing, WriteOptions, WriteReport},
    publication::{self, Publication},
    publish_queue::{PublishQueue, QueuedDraft},
    rejection::{FieldProblem, Notice, Rejection, is_about_records},
    version_step::{Age, age},
};
use crate::{Client, Failure};

/// Maximum number of records looked up at once: the answers include their content.
const NAMES_PER_LOOKUP: usize = 100;
/// Maximum number of names per call.
const NAMES_PER_CALL: usize = 1000;

/// Sends batches, and queues drafts for publication.
#[derive(Debug)]
pub struct BulkWriter {
    pub(super) client: Client,
    pub(super) options: WriteOptions,
    queue: PublishQueue,
    /// The publication that runs beside the next creations; at most one.
    publishing: JoinSet<Publication>,
    /// Number of records seen so far: the position of the next one.
    seen: usize,
    /// Names of the articles that this run created from items.
    pub(super) made: HashSet<String>,
    /// Counts of outcomes so far.
    pub report: WriteReport,
    /// Refused records that were not reported yet.
    pub refused: Vec<Rejection>,
    /// Notices that were not reported yet.
    pub notices: Vec<Notice>,
}

/// A record that does not exist yet, and its position among all records sent.
type NewRecord = (usize, Outgoing);

impl BulkWriter {
    /// A writer that has sent nothing yet.
    #[must_use]
    pub fn new(client: Client, options: WriteOptions) -> Self {
        Self {
            client,
            options,
            queue: PublishQueue::default(),
            publishing: JoinSet::new(),
            seen: 0,
            made: HashSet::new(),
            report: WriteReport::default(),
            refused: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Creates the records that do not exist yet, in one commit; in several if some are left out. Drafts may be published
    /// meanwhile.
    ///
    /// # Errors
    /// If a call fails, or a record is refused and none may be left out. No publication runs then.
    pub async fn create(&mut self, batch: Vec<Outgoing>) -> Result<(), Error> {
        if batch.iter().any(|outgoing| outgoing.origin.is_some()) {
            // A newer version changes the stored record, which may just be published.
            self.finish_publication().await?;
        }
        let created = self.create_all(batch).await;
        if created.is_err() {
            // The first error is the one to report.
            drop(self.finish_publication().await);
        }
        created
    }

    async fn create_all(&mut self, batch: Vec<Outgoing>) -> Result<(), Error> {
        let numbered = batch.into_iter().map(|outgoing| {
            self.seen += 1;
            (self.seen - 1, outgoing)
        });
        let numbered = numbered.collect();
        let newest = self.drop_older_versions(numbered);
        let mut open = vec![self.filter_existing(newest).await?];
        while let Some(mut part) = open.pop() {
            if part.is_empty() {
                continue;
            }
            let Err(failure) = self.commit(&part).await else {
                continue;
            };
            if failure.reason == "NAME_TAKEN" {
                // Another import may have created some of them in the meantime.
                let before = part.len();
                part = self.filter_existing(part).await?;
                if part.len() < before {
                    open.push(part);
                    continue;
                }
            }
            let rejected = if is_about_records(&failure) {
                rejected(&failure, &part)
            } else {
                HashMap::new()
            };
            if !self.options.leaves_out || !is_about_records(&failure) {
                self.refused.extend(rejected.into_values());
                return Err(explain(failure, &part).into());
            }
            if rejected.is_empty() {
                // The error names no record: bisect, so that the half without it is committed.
                let rest = part.split_off(part.len() / 2);
                open.extend([rest, part]);
                continue;
            }
            let accepted = (0..part.len()).map(|index| !rejected.contains_key(&index));
            let accepted: Vec<_> = accepted.collect();
            self.refused.extend(rejected.into_values());
            let mut kept = accepted.into_iter();
            part.retain(|_| kept.next().unwrap_or_default());
            open.push(part);
        }
        Ok(())
    }

    /// Retracts, returns to draft or marks the stored articles of items whose senders do not allow their use any more.
    ///
    /// # Errors
    /// If a call fails, or a record is refused and none may be left out.
    pub async fn withdraw(&mut self, batch: Vec<Outgoing>) -> Result<(), Error> {
        self.finish_publication().await?;
        let mut known = self.existing_records(batch.iter()).await?;
        for outgoing in batch {
            let stored = names(&outgoing).find_map(|name| known.remove(name));
            if let (Some(stored), true) = (stored, outgoing.origin.is_some()) {
                Box::pin(self.apply_version(self.seen, outgoing, stored)).await?;
            }
        }
        Ok(())
    }

    /// Drops the versions of an item of which the batch holds a newer one.
    fn drop_older_versions(&mut self, batch: Vec<NewRecord>) -> Vec<NewRecord> {
        let mut newest: HashMap<String, usize> = HashMap::new();
        let mut kept: Vec<Option<NewRecord>> = Vec::with_capacity(batch.len());
        for (position, outgoing) in batch {
            let at = kept.len();
            if let Some(item) = outgoing.item() {
                let first = *newest.entry(item.uri.clone()).or_insert(at);
                let other = kept.get(first).and_then(Option::as_ref);
                match other.and_then(|(_, other)| Some(age(item, other.item()?))) {
                    Some(Age::Older) => {
                        self.report.older += 1;
                        continue;
                    }
                    Some(Age::Newer) => {
                        self.report.older += 1;
                        kept[first] = None;
                        newest.insert(item.uri.clone(), at);
                    }
                    _ => {}
                }
            }
            kept.push(Some((position, outgoing)));
        }
        kept.into_iter().flatten().collect()
    }

    /// Returns the records that do not exist yet. An existing one with other content is refused, unless it is a version
    /// of an item.
    async fn filter_existing(&mut self, batch: Vec<NewRecord>) -> Result<Vec<NewRecord>, Error> {
        let known = self
            .existing_records(batch.iter().map(|(_, outgoing)| outgoing))
            .await?;
        let (mut new, mut in_batch) = (Vec::with_capacity(batch.len()), HashMap::new());
        for (position, outgoing) in batch {
            let stored = names(&outgoing).find_map(|name| known.get(name));
            match stored {
                Some(stored) if outgoing.origin.is_some() => {
                    Box::pin(self.apply_version(position, outgoing, stored.clone())).await?;
                    continue;
                }
                None if outgoing.release.allowed == Allowed::Canceled => {
                    Box::pin(self.cancel_unknown(position, outgoing)).await?;
                    continue;
                }
                None => {}
                Some(stored) => {
                    if is_same(&outgoing.record, stored) {
                        self.report.unchanged += 1;
                        self.queue_publication(position, stored, &outgoing);
                        continue;
                    }
                    let what = "is there already with other content; import only adds records and never changes one";
                    self.reject(&outgoing, what)?;
                    continue;
                }
            }
            match in_batch.entry(outgoing.name().to_owned()) {
                Entry::Occupied(first) => {
                    let first: &NewRecord = &new[*first.get()];
                    if is_same(&outgoing.record, &first.1.record) {
                        self.report.unchanged += 1;
                        continue;
                    }
                    let what = format!(
                        "stands there twice, with other content in {}",
                        first.1.position
                    );
                    self.reject(&outgoing, &what)?;
                }
                Entry::Vacant(free) => {
                    // A record without a name is left for the server to refuse.
                    if !outgoing.name().is_empty() {
                        free.insert(new.len());
                    }
                    new.push((position, outgoing));
                }
            }
        }
        Ok(new)
    }

    pub(super) fn reject(&mut self, outgoing: &Outgoing, what: &str) -> Result<(), Error> {
        let problem = FieldProblem::new("name", what);
        self.refused
            .push(outgoing.to_rejection("NAME_TAKEN", vec![problem]));
        if self.options.leaves_out {
            return Ok(());
        }
        Err(Error::Records(format!("{} {what}", outgoing.label())))
    }

    async fn commit(&mut self, new: &[NewRecord]) -> Result<(), Failure> {
        let writes = new.iter().map(|(_, outgoing)| Write {
            action: Some(write::Action::Create(write::Create {
                record: Some(outgoing.record.clone()),
                original: outgoing.original.clone(),
            })),
        });
        let request = CommitRequest {
            writes: writes.collect(),
            omit_content: true,
            validate_only: self.options.dry_run,
            ..CommitRequest::default()
        };
        let answer = self.client.commit(request).await.map_err(Failure::from)?;
        self.report.created += new.len();
        if self.options.dry_run {
            return Ok(());
        }
        self.report.sequence = answer.sequence;
        for (stored, (position, sent)) in answer.records.iter().zip(new) {
            if sent.origin.is_some() {
                self.made.insert(sent.name().to_owned());
            }
            if sent.origin.is_some() && !sent.release.note.is_empty() {
                // The note is for editors, and the record has no field for it.
                let note = sent.notice("note of the sender", "NOTE", &sent.release.note);
                self.notices.push(Notice {
                    is_open: false,
                    ..note
                });
            }
            self.queue_publication(*position, stored, sent);
        }
        Ok(())
    }

    /// Begins to publish the queued drafts that refer only to published records or to each other, once there are enough
    /// of them. The publication runs beside the next creations.
    ///
    /// # Errors
    /// If a call of this or of the publication before fails, or a record is refused and none may be left out.
    pub async fn publish_ready(&mut self) -> Result<(), Error> {
        if !self.queue.is_batch_due() {
            return Ok(());
        }
        self.finish_publication().await?;
        let unknown = self.queue.take_unresolved();
        for names in unknown.chunks(NAMES_PER_LOOKUP) {
            let names = names.iter().map(ToString::to_string).collect();
            for record in self.look_up(names).await?.into_values() {
                self.queue.mark_if_published(&record);
            }
        }
        let ready = self.queue.take_ready();
        self.begin_publication(ready);
        Ok(())
    }

    /// Publishes every queued draft. Drafts that refer to each other are published together (W9).
    ///
    /// # Errors
    /// If a call fails, or a record is refused and none may be left out.
    pub async fn publish(&mut self) -> Result<(), Error> {
        self.finish_publication().await?;
        let rest = self.queue.take_all();
        self.begin_publication(rest);
        self.finish_publication().await
    }

    fn begin_publication(&mut self, drafts: Vec<QueuedDraft>) {
        let (client, leaves_out) = (self.client.clone(), self.options.leaves_out);
        self.publishing
            .spawn(publication::publish_all(client, leaves_out, drafts));
    }

    /// Waits for the publication that runs, and counts its outcome.
    async fn finish_publication(&mut self) -> Result<(), Error> {
        while let Some(done) = self.publishing.join_next().await {
            let done =
                done.map_err(|error| Error::Records(format!("publishing ended: {error}")))?;
            self.report.published += done.published;
            self.report.embargoed += done.embargoed;
            self.report.sequence = self.report.sequence.max(done.sequence);
            self.refused.extend(done.refused);
            self.queue.mark_published(done.names);
            done.outcome?;
        }
        Ok(())
    }

    /// The existing records of a batch, by name.
    async fn existing_records(
        &self,
        batch: impl Iterator<Item = &Outgoing>,
    ) -> Result<HashMap<String, Record>, Error> {
        let names: Vec<_> = batch
            .flat_map(names)
            .filter(|name| Name::parse(name).is_some())
            .map(str::to_owned)
            .collect();
        let mut known = HashMap::new();
        for names in names.chunks(NAMES_PER_CALL) {
            known.extend(self.look_up(names.to_vec()).await?);
        }
        Ok(known)
    }

    pub(super) async fn look_up(
        &self,
        names: Vec<String>,
    ) -> Result<HashMap<String, Record>, Error> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let request = BatchGetRecordsRequest {
            names,
            view: View::Desk.into(),
            min_sequence: 0,
        };
        let answer = self
            .client
            .batch_get(request)
            .await
            .map_err(Failure::from)?;
        Ok(answer
            .records
            .into_iter()
            .filter_map(|record| Some((record.kind.as_ref()?.name().to_owned(), record)))
            .collect())
    }

    /// Queues an existing record for publication, if its sender allows it.
    pub(super) fn queue_publication(&mut self, position: usize, stored: &Record, sent: &Outgoing) {
        if !self.options.publishes {
            return;
        }
        let (Some(body), Some(name)) = (&stored.kind, record_name(&sent.record)) else {
            return;
        };
        let Some(meta) = body.meta() else { return };
        if let Allowed::Held { reason, why } = &sent.release.allowed {
            match meta.state() {
                State::Draft => {
                    let what = format!("stays a draft: {why}");
                    self.notices
                        .push(sent.notice("not published", reason, &what));
                }
                State::Published if *reason == "RETRACTED" => {
                    let what = Conflict::Withdrawn.describe(self.options.advice);
                    self.notices
                        .push(sent.notice("not taken over", reason, &what));
                }
                _ => {}
            }
        }
        if meta.state() != State::Draft {
            self.queue.mark_if_published(stored);
        } else if matches!(sent.release.allowed, Allowed::Now | Allowed::From(_))
            && let Some(mut body) = sent.record.kind.clone()
        {
            let embargo = match &sent.release.allowed {
                Allowed::From(time) => Some(*time),
                _ => None,
            };
            let references = extract_terms(&mut body, State::Draft).references;
            let targets = references
                .into_iter()
                .map(|reference| reference.target)
                .collect();
            self.queue.push(QueuedDraft {
                position,
                line: sent.line,
                location: sent.position.clone(),
                name,
                etag: meta.etag.clone(),
                embargo,
                targets,
            });
        }
    }
}

/// Names under which the record may exist.
fn names(outgoing: &Outgoing) -> impl Iterator<Item = &str> {
    let earlier = outgoing
        .origin
        .as_ref()
        .map(|origin| origin.earlier_name.as_str());
    [Some(outgoing.name()), earlier].into_iter().flatten()
}

/// True if a stored record equals the sent one, except for fields that the service sets and the article revisions that
/// it pins.
pub(super) fn is_same(sent: &Record, stored: &Record) -> bool {
    let content = |record: &Record| {
        let mut record = record.clone();
        record.kind.as_mut()?.take_meta();
        // The service stores the normalised form. Violations are left for it to report.
        drop(validate(&mut record, &mut Path::default()));
        record.kind.map(Body::without_pins)
    };
    content(sent) == content(stored)
}

/// The records that a rejection names, by their index in the request. A single record is always the cause.
fn rejected(failure: &Failure, sent: &[NewRecord]) -> HashMap<usize, Rejection> {
    let mut found: HashMap<usize, Rejection> = HashMap::new();
    for (field, what) in failure.details() {
        let named =
            field_path::record_index(field).and_then(|index| Some((index, &sent.get(index)?.1)));
        if let Some((index, outgoing)) = named {
            let rejection = found
                .entry(index)
                .or_insert_with(|| outgoing.to_rejection(&failure.reason, Vec::new()));
            let field = field_path::describe(field, |_| Some(String::new()));
            rejection.problems.push(FieldProblem::new(&field, what));
        }
    }
    if let (true, [(_, only)]) = (found.is_empty(), sent) {
        let problem = FieldProblem::new("", failure.message());
        found.insert(0, only.to_rejection(&failure.reason, vec![problem]));
    }
    found
}

/// Rewrites the failure with positions in the file instead of paths in the request.
fn explain(failure: Failure, sent: &[NewRecord]) -> Failure {
    let label = |index: usize| sent.get(index).map(|(_, outgoing)| outgoing.label());
    failure.map_fields(|field| field_path::describe(field, label))
}
