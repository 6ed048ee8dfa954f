//! Sends records as an editor does: drafts first, then everything published that belongs together. What is
//! there already and the same is left as it is, so an interrupted run is completed by the next one.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
};

use anyhow::{Result, bail};
use prost::Message;
use tonic::Code;

use super::{
    place,
    publisher::{Draft, Queue},
    refusal::{Problem, Refusal},
};
use crate::{
    client::{Client, Failure},
    model::{drawing::draw, validate::validate, walk::Path},
    proto::v1::{
        BatchGetRecordsRequest, CommitRequest, Record, State, View, Write, record::Kind as Body,
        write,
    },
};

/// Most records that are looked up at once: their content comes with them.
const LOOKED_UP: usize = 100;

/// A record on its way, and where it was read.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// As read.
    pub record: Record,
    /// The article's text as received, if it is known.
    pub original: Vec<u8>,
    /// `line 17`; empty when the file has no lines of its own.
    pub place: String,
    /// The number in it.
    pub line: u64,
}

impl Outgoing {
    /// Bytes that it takes in a request, about.
    pub(super) fn encoded_len(&self) -> usize {
        self.record.encoded_len() + self.original.len() + 16
    }

    fn name(&self) -> &str {
        self.record
            .kind
            .as_ref()
            .map(Body::name)
            .unwrap_or_default()
    }

    /// How its sender finds it: `line 17: actors/nato`.
    fn known_as(&self) -> String {
        let parts = [self.place.as_str(), self.name()]
            .into_iter()
            .filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    }

    fn refused(&self, reason: &str, problems: Vec<Problem>) -> Refusal {
        Refusal {
            line: self.line,
            place: self.place.clone(),
            name: self.name().to_owned(),
            reason: reason.to_owned(),
            problems,
        }
    }
}

/// What became of the records.
#[derive(Debug, Default, Clone)]
pub(super) struct Report {
    created: usize,
    unchanged: usize,
    published: usize,
    /// The last sequences that the server answered with.
    pub sequence: i64,
}

impl Report {
    pub(super) fn sent(&self) -> usize {
        self.created + self.unchanged
    }

    pub(super) fn created(&self) -> usize {
        self.created
    }

    pub(super) fn unchanged(&self) -> usize {
        self.unchanged
    }

    pub(super) fn published(&self) -> usize {
        self.published
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} created, {} already there, {} published",
            self.created, self.unchanged, self.published
        )
    }
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
}

/// Sends batches and remembers what to publish.
pub(super) struct Sender {
    client: Client,
    manner: Manner,
    queue: Queue,
    /// Records seen so far: the place of the next one.
    seen: usize,
    pub report: Report,
    /// Records that were refused, until somebody takes them.
    pub refused: Vec<Refusal>,
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
            report: Report::default(),
            refused: Vec::new(),
        }
    }

    /// Creates what is not there yet, in one commit; in several if records are to be left out.
    pub(super) async fn create(&mut self, batch: Vec<Outgoing>) -> Result<()> {
        let mut open = vec![self.fresh(batch).await?];
        while let Some(mut part) = open.pop() {
            if part.is_empty() {
                continue;
            }
            let Err(failure) = self.commit(&part).await else {
                continue;
            };
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

    /// Those that are not there yet. What is there with other content is refused.
    async fn fresh(&mut self, batch: Vec<Outgoing>) -> Result<Vec<Fresh>> {
        let mut known = self.known(&batch).await?;
        let (mut fresh, mut in_batch) = (Vec::with_capacity(batch.len()), HashMap::new());
        for outgoing in batch {
            let place = self.seen;
            self.seen += 1;
            if let Some(stored) = known.get_mut(outgoing.name()) {
                if is_same(&outgoing.record, stored) {
                    self.report.unchanged += 1;
                    self.remember(place, stored, &outgoing);
                    continue;
                }
                let what = "is there already with other content; import only adds records and never changes one";
                self.refuse(&outgoing, what)?;
                continue;
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

    fn refuse(&mut self, outgoing: &Outgoing, what: &str) -> Result<()> {
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
                    self.report.published += answer.records.len();
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

    async fn known(&mut self, batch: &[Outgoing]) -> Result<HashMap<String, Record>> {
        let names = batch
            .iter()
            .filter_map(|outgoing| outgoing.record.record_name())
            .map(|name| name.to_string());
        self.look_up(names.collect()).await
    }

    async fn look_up(&self, names: Vec<String>) -> Result<HashMap<String, Record>> {
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

    fn remember(&mut self, place: usize, stored: &Record, sent: &Outgoing) {
        if !self.manner.publishes {
            return;
        }
        let (Some(body), Some(name)) = (&stored.kind, sent.record.record_name()) else {
            return;
        };
        let Some(meta) = body.meta() else { return };
        if meta.state() != State::Draft {
            self.queue.found(stored);
        } else if let Some(mut body) = sent.record.kind.clone() {
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
                targets,
            });
        }
    }
}

/// Whether a stored record says what the sent one says, but for what the service sets, the revisions of articles among it.
fn is_same(sent: &Record, stored: &Record) -> bool {
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
