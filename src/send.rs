//! Sends records as an editor does: drafts first, then everything published that belongs together. What is
//! there already and the same is left as it is, so an interrupted run is completed by the next one.

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

/// Most records that are looked up at once: their content comes with them.
const LOOKED_UP: usize = 100;
/// Most names of one call.
const NAMES_PER_CALL: usize = 1000;

/// Sends batches and remembers what to publish.
pub(super) struct Sender {
    pub client: Client,
    pub manner: Manner,
    queue: Queue,
    /// Records seen so far: the place of the next one.
    seen: usize,
    /// Names of the articles that this run has made of items.
    pub made: HashSet<String>,
    pub report: Report,
    /// Records that were refused, until somebody takes them.
    pub refused: Vec<Refusal>,
    /// What else a person should know, until somebody takes it.
    pub notices: Vec<Notice>,
}

/// A record that is not there yet, and its place among all that was sent.
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

    /// Creates what is not there yet, in one commit; in several if records are to be left out.
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
                // Another import may have created some of them since they were looked up.
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
                // It does not say which one: the half without it goes through.
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

    /// Withdraws what its sender does not allow any more, and does nothing else.
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

    /// The batch without versions of which it holds a newer one.
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

    /// Those that are not there yet. What is there with other content is refused, if it is no version of an item.
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
                    // What has no name is the server's to refuse.
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
                // Meant for editors, not for readers: the record has no field for it.
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

    /// Publishes what has come together so far: whatever refers only to what is published, or goes with it.
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

    /// Publishes every draft that was sent. What refers to each other goes together, as W9 asks.
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

    /// What is there of a batch, by name.
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

    /// Takes note of a record that is there, to publish it if its sender allows.
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

/// The names under which a record may be there.
fn names(outgoing: &Outgoing) -> impl Iterator<Item = &str> {
    let earlier = outgoing
        .origin
        .as_ref()
        .map(|origin| origin.earlier_name.as_str());
    [Some(outgoing.name()), earlier].into_iter().flatten()
}

/// Whether a stored record says what the sent one says, but for what the service sets, the revisions of articles among it.
pub(super) fn is_same(sent: &Record, stored: &Record) -> bool {
    let content = |record: &Record| {
        let mut record = record.clone();
        record.kind.as_mut()?.take_meta();
        // The service stores the normalised form; violations are its business too.
        drop(validate(&mut record, &mut Path::default()));
        record.kind.map(Body::without_pins)
    };
    content(sent) == content(stored)
}

/// Whether the answer is about what was sent, and not about the server.
pub(super) fn is_about_records(failure: &Failure) -> bool {
    matches!(
        failure.code,
        Code::InvalidArgument | Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted
    ) || failure.reason == "MESSAGE_TOO_LARGE"
}

/// The records that a refusal names, by their place in the request. One alone is meant, whatever it says.
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

/// Tells the refusal with the places in the file instead of places in our request.
fn explain(failure: Failure, sent: &[Fresh]) -> Failure {
    let known_as = |index: usize| sent.get(index).map(|(_, outgoing)| outgoing.known_as());
    failure.rename(|field| place::told(field, known_as))
}
