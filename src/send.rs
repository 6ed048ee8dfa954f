//! Sends records as an editor would: creates drafts, then publishes the records that belong together. Existing
//! identical records are left unchanged, so that the next run completes an interrupted one.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use anyhow::{Result, bail};
use dateline_client::{Client, Failure};
use dateline_proto::v1::{
    BatchGetRecordsRequest, CommitRequest, Record, RecordMeta, State, View, Write,
    record::Kind as Body, write,
};
use dateline_record::record::record_name;
use dateline_record::{drawing::draw, name::Name, validate::validate, walk::Path};
use tonic::Code;

use super::{
    outgoing::{Manner, Outgoing, Report},
    place,
    publisher::{Draft, Queue},
    refusal::{Notice, Problem, Refusal},
    release::Allowed,
    version_step::{Age, age},
};

/// Maximum number of records looked up at once: the answers include their content.
const LOOKED_UP: usize = 100;
/// Maximum number of names per call.
const NAMES_PER_CALL: usize = 1000;

/// Sends batches, and queues drafts for publication.
pub(super) struct Sender {
    pub client: Client,
    pub manner: Manner,
    queue: Queue,
    /// Number of records seen so far: the position of the next one.
    seen: usize,
    /// Names of the articles that this run created from items.
    pub made: HashSet<String>,
    pub report: Report,
    /// Refused records that were not reported yet.
    pub refused: Vec<Refusal>,
    /// Notices that were not reported yet.
    pub notices: Vec<Notice>,
}

/// A record that does not exist yet, and its position among all records sent.
type Fresh = (usize, Outgoing);

impl Sender {
    pub(super) fn new(client: Client, manner: Manner) -> Self {
        Self {
            client,
            manner,
            queue: Queue::default(),
            seen: 0,
            made: HashSet::new(),
            report: Report::default(),
            refused: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Creates the records that do not exist yet, in one commit; in several if some are left out.
    pub(super) async fn create(&mut self, batch: Vec<Outgoing>) -> Result<()> {
        let numbered = batch.into_iter().map(|outgoing| {
            self.seen += 1;
            (self.seen - 1, outgoing)
        });
        let numbered = numbered.collect();
        let newest = self.newest(numbered);
        let mut open = vec![self.sift(newest).await?];
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
                part = self.sift(part).await?;
                if part.len() < before {
                    open.push(part);
                    continue;
                }
            }
            let culprits = if is_about_records(&failure) {
                culprits(&failure, &part)
            } else {
                HashMap::new()
            };
            if !self.manner.leaves_out || !is_about_records(&failure) {
                self.refused.extend(culprits.into_values());
                return Err(explain(failure, &part).into());
            }
            if culprits.is_empty() {
                // The error names no record: bisect, so that the half without it is committed.
                let rest = part.split_off(part.len() / 2);
                open.extend([rest, part]);
                continue;
            }
            let innocent = (0..part.len()).map(|index| !culprits.contains_key(&index));
            let innocent: Vec<_> = innocent.collect();
            self.refused.extend(culprits.into_values());
            let mut kept = innocent.into_iter();
            part.retain(|_| kept.next().unwrap_or_default());
            open.push(part);
        }
        Ok(())
    }

    /// Retracts, returns to draft or marks the stored articles of items whose senders do not allow their use any more.
    pub(super) async fn withdraw(&mut self, batch: Vec<Outgoing>) -> Result<()> {
        let mut known = self.known(batch.iter()).await?;
        for outgoing in batch {
            let stored = names(&outgoing).find_map(|name| known.remove(name));
            if let (Some(stored), true) = (stored, outgoing.origin.is_some()) {
                Box::pin(self.follow(self.seen, outgoing, stored)).await?;
            }
        }
        Ok(())
    }

    /// Drops the versions of an item of which the batch holds a newer one.
    fn newest(&mut self, batch: Vec<Fresh>) -> Vec<Fresh> {
        let mut newest: HashMap<String, usize> = HashMap::new();
        let mut kept: Vec<Option<Fresh>> = Vec::with_capacity(batch.len());
        for (place, outgoing) in batch {
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
            kept.push(Some((place, outgoing)));
        }
        kept.into_iter().flatten().collect()
    }

    /// Returns the records that do not exist yet. An existing one with other content is refused, unless it is a version
    /// of an item.
    async fn sift(&mut self, batch: Vec<Fresh>) -> Result<Vec<Fresh>> {
        let known = self
            .known(batch.iter().map(|(_, outgoing)| outgoing))
            .await?;
        let (mut fresh, mut in_batch) = (Vec::with_capacity(batch.len()), HashMap::new());
        for (place, outgoing) in batch {
            let stored = names(&outgoing).find_map(|name| known.get(name));
            match stored {
                Some(stored) if outgoing.origin.is_some() => {
                    Box::pin(self.follow(place, outgoing, stored.clone())).await?;
                    continue;
                }
                None if outgoing.release.allowed == Allowed::Canceled => {
                    Box::pin(self.cancel_unknown(place, outgoing)).await?;
                    continue;
                }
                None => {}
                Some(stored) => {
                    if is_same(&outgoing.record, stored) {
                        self.report.unchanged += 1;
                        self.remember(place, stored, &outgoing);
                        continue;
                    }
                    let what = "is there already with other content; import only adds records and never changes one";
                    self.refuse(&outgoing, what)?;
                    continue;
                }
            }
            match in_batch.entry(outgoing.name().to_owned()) {
                Entry::Occupied(first) => {
                    let first: &Fresh = &fresh[*first.get()];
                    if is_same(&outgoing.record, &first.1.record) {
                        self.report.unchanged += 1;
                        continue;
                    }
                    let what = format!(
                        "stands there twice, with other content in {}",
                        first.1.place
                    );
                    self.refuse(&outgoing, &what)?;
                }
                Entry::Vacant(free) => {
                    // A record without a name is left for the server to refuse.
                    if !outgoing.name().is_empty() {
                        free.insert(fresh.len());
                    }
                    fresh.push((place, outgoing));
                }
            }
        }
        Ok(fresh)
    }

    pub(super) fn refuse(&mut self, outgoing: &Outgoing, what: &str) -> Result<()> {
        let problem = Problem::new("name", what);
        self.refused
            .push(outgoing.refused("NAME_TAKEN", vec![problem]));
        if self.manner.leaves_out {
            return Ok(());
        }
        bail!("{} {what}", outgoing.known_as())
    }

    async fn commit(&mut self, fresh: &[Fresh]) -> Result<(), Failure> {
        let writes = fresh.iter().map(|(_, outgoing)| Write {
            action: Some(write::Action::Create(write::Create {
                record: Some(outgoing.record.clone()),
                original: outgoing.original.clone(),
            })),
        });
        let request = CommitRequest {
            writes: writes.collect(),
            omit_content: true,
            validate_only: self.manner.dry_run,
            ..CommitRequest::default()
        };
        let answer = self.client.commit(request).await.map_err(Failure::from)?;
        self.report.created += fresh.len();
        if self.manner.dry_run {
            return Ok(());
        }
        self.report.sequence = answer.sequence;
        for (stored, (place, sent)) in answer.records.iter().zip(fresh) {
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
            self.remember(*place, stored, sent);
        }
        Ok(())
    }

    /// Publishes the queued drafts that refer only to published records or to each other.
    pub(super) async fn publish_ready(&mut self) -> Result<()> {
        if !self.queue.is_worth_a_try() {
            return Ok(());
        }
        let unknown = self.queue.unknown();
        for names in unknown.chunks(LOOKED_UP) {
            let names = names.iter().map(ToString::to_string).collect();
            for record in self.look_up(names).await?.into_values() {
                self.queue.found(&record);
            }
        }
        let ready = self.queue.take_ready();
        self.publish_all(&ready).await
    }

    /// Publishes every queued draft. Drafts that refer to each other are published together (W9).
    pub(super) async fn publish(&mut self) -> Result<()> {
        let rest = self.queue.take_all();
        self.publish_all(&rest).await
    }

    async fn publish_all(&mut self, drafts: &[Draft]) -> Result<()> {
        for batch in super::publisher::batches(drafts)? {
            self.publish_batch(batch).await?;
        }
        Ok(())
    }

    async fn publish_batch(&mut self, mut drafts: Vec<&Draft>) -> Result<()> {
        drafts.sort_by_key(|draft| draft.place);
        while !drafts.is_empty() {
            let request = super::publisher::request(&drafts);
            let failure = match self.client.publish(request).await {
                Ok(answer) => {
                    let state =
                        |record: &Record| record.kind.as_ref()?.meta().map(RecordMeta::state);
                    let hidden = answer
                        .records
                        .iter()
                        .filter(|record| state(record) == Some(State::Embargoed));
                    let hidden = hidden.count();
                    self.report.embargoed += hidden;
                    self.report.published += answer.records.len() - hidden;
                    self.report.sequence = answer.sequence;
                    self.queue.published(&drafts);
                    return Ok(());
                }
                Err(status) => Failure::from(status),
            };
            let refused = super::publisher::culprits(&failure, &drafts);
            let is_over = !self.manner.leaves_out || refused.is_empty();
            drafts.retain(|draft| !refused.contains_key(&draft.place));
            self.refused.extend(refused.into_values());
            if is_over {
                return Err(failure.into());
            }
        }
        Ok(())
    }

    /// The existing records of a batch, by name.
    async fn known(
        &self,
        batch: impl Iterator<Item = &Outgoing>,
    ) -> Result<HashMap<String, Record>> {
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

    pub(super) async fn look_up(&self, names: Vec<String>) -> Result<HashMap<String, Record>> {
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
    pub(super) fn remember(&mut self, place: usize, stored: &Record, sent: &Outgoing) {
        if !self.manner.publishes {
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
                    let what = "is withdrawn in the file, and published here: `dateline retract` withdraws it";
                    self.notices
                        .push(sent.notice("not taken over", reason, what));
                }
                _ => {}
            }
        }
        if meta.state() != State::Draft {
            self.queue.found(stored);
        } else if matches!(sent.release.allowed, Allowed::Now | Allowed::From(_))
            && let Some(mut body) = sent.record.kind.clone()
        {
            let embargo = match &sent.release.allowed {
                Allowed::From(time) => Some(*time),
                _ => None,
            };
            let references = draw(&mut body, State::Draft).references;
            let targets = references
                .into_iter()
                .map(|reference| reference.target)
                .collect();
            self.queue.push(Draft {
                place,
                line: sent.line,
                told: sent.place.clone(),
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

/// True if the failure is caused by the records and not by the server.
pub(super) fn is_about_records(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted
    ) || failure.reason == "MESSAGE_TOO_LARGE"
}

/// The records that a refusal names, by their index in the request. A single record is always the cause.
fn culprits(failure: &Failure, sent: &[Fresh]) -> HashMap<usize, Refusal> {
    let mut found: HashMap<usize, Refusal> = HashMap::new();
    for (field, what) in failure.details() {
        let named = place::index(field).and_then(|index| Some((index, &sent.get(index)?.1)));
        if let Some((index, outgoing)) = named {
            let refusal = found
                .entry(index)
                .or_insert_with(|| outgoing.refused(&failure.reason, Vec::new()));
            let field = place::told(field, |_| Some(String::new()));
            refusal.problems.push(Problem::new(&field, what));
        }
    }
    if let (true, [(_, only)]) = (found.is_empty(), sent) {
        let problem = Problem::new("", failure.message());
        found.insert(0, only.refused(&failure.reason, vec![problem]));
    }
    found
}

/// Rewrites the failure with positions in the file instead of paths in the request.
fn explain(failure: Failure, sent: &[Fresh]) -> Failure {
    let known_as = |index: usize| sent.get(index).map(|(_, outgoing)| outgoing.known_as());
    failure.rename(|field| place::told(field, known_as))
}
