//! Sends records as an editor does: drafts first, then everything published that belongs together. What is
//! there already and the same is left as it is, so an interrupted run is completed by the next one.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use anyhow::{Result, bail};
use prost::Message;

use super::place;
use crate::{
    client::{Client, Failure},
    model::{drawing::draw, name::Name, validate::validate, walk::Path},
    proto::v1::{
        BatchGetRecordsRequest, CommitRequest, PublishRecordsRequest, Record, RecordVersion, State,
        View, Write, record::Kind as Body, write,
    },
};

/// Most records of one publication.
const MAX_PUBLISHED: usize = 1000;

/// A record on its way, and where it was read.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// As read.
    pub record: Record,
    /// The article's text as received, if it is known.
    pub original: Vec<u8>,
    /// `line 17`; empty when the file has no lines of its own.
    pub place: String,
}

impl Outgoing {
    /// Bytes that it takes in a request, about.
    pub(super) fn encoded_len(&self) -> usize {
        self.record.encoded_len() + self.original.len() + 16
    }

    /// How its sender finds it: `line 17: actors/nato`.
    fn known_as(&self) -> String {
        let name = self
            .record
            .kind
            .as_ref()
            .map(Body::name)
            .unwrap_or_default();
        let parts = [self.place.as_str(), name]
            .into_iter()
            .filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(": ")
    }
}

/// What became of the records.
#[derive(Debug, Default)]
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

/// Sends batches and remembers what to publish.
pub(super) struct Sender {
    client: Client,
    /// Drafts to publish.
    drafts: Vec<Draft>,
    /// Records seen so far: the place of the next one.
    seen: usize,
    pub report: Report,
}

/// A draft that waits to be published.
struct Draft {
    /// Its place among all that was sent: what is published together keeps the order of the file.
    place: usize,
    name: Name,
    etag: String,
    /// What it refers to.
    targets: Vec<Name>,
}

impl Sender {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            drafts: Vec::new(),
            seen: 0,
            report: Report::default(),
        }
    }

    /// Creates what is not there yet, in one commit.
    pub(super) async fn create(&mut self, batch: Vec<Outgoing>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let known = self.known(&batch).await?;
        let (mut fresh, mut places) = (
            Vec::with_capacity(batch.len()),
            Vec::with_capacity(batch.len()),
        );
        for outgoing in batch {
            let place = self.seen;
            self.seen += 1;
            match outgoing
                .record
                .record_name()
                .and_then(|name| known.get(name.as_str()))
            {
                None => {
                    fresh.push(outgoing);
                    places.push(place);
                }
                Some(stored) if is_same(&outgoing.record, stored) => {
                    self.report.unchanged += 1;
                    self.remember(place, stored, &outgoing.record);
                }
                Some(_) => bail!(
                    "{} is there already with other content; import only adds records and never changes one",
                    outgoing.known_as()
                ),
            }
        }
        if fresh.is_empty() {
            return Ok(());
        }
        let writes = fresh.iter().map(|outgoing| Write {
            action: Some(write::Action::Create(write::Create {
                record: Some(outgoing.record.clone()),
                original: outgoing.original.clone(),
            })),
        });
        let request = CommitRequest {
            writes: writes.collect(),
            omit_content: true,
            ..CommitRequest::default()
        };
        let answer = self
            .client
            .commit(request)
            .await
            .map_err(|status| explain(status.into(), &fresh))?;
        self.report.created += answer.records.len();
        self.report.sequence = answer.sequence;
        for ((stored, sent), place) in answer.records.iter().zip(&fresh).zip(places) {
            self.remember(place, stored, &sent.record);
        }
        Ok(())
    }

    /// Publishes every draft that was sent. What refers to each other goes together, as W9 asks.
    pub(super) async fn publish(&mut self) -> Result<()> {
        let mut drafts = std::mem::take(&mut self.drafts);
        drafts.sort_by_key(|draft| draft.place);
        // A record that the file holds twice is one draft all the same.
        let mut named = HashSet::new();
        drafts.retain(|draft| named.insert(draft.name.clone()));
        let mut batch = Vec::new();
        for component in components(&drafts) {
            if component.len() > MAX_PUBLISHED {
                bail!(
                    "{} records refer to each other, and at most {MAX_PUBLISHED} can be published at once; first: {}",
                    component.len(),
                    component[0].name
                );
            }
            if batch.len() + component.len() > MAX_PUBLISHED {
                self.publish_batch(std::mem::take(&mut batch)).await?;
            }
            batch.extend(component);
        }
        self.publish_batch(batch).await
    }

    async fn publish_batch(&mut self, mut drafts: Vec<&Draft>) -> Result<()> {
        if drafts.is_empty() {
            return Ok(());
        }
        drafts.sort_by_key(|draft| draft.place);
        let records = drafts.iter().map(|draft| RecordVersion {
            name: draft.name.to_string(),
            etag: draft.etag.clone(),
        });
        let request = PublishRecordsRequest {
            records: records.collect(),
            omit_content: true,
            ..PublishRecordsRequest::default()
        };
        let answer = self.client.publish(request).await.map_err(Failure::from)?;
        self.report.published += answer.records.len();
        self.report.sequence = answer.sequence;
        Ok(())
    }

    async fn known(&mut self, batch: &[Outgoing]) -> Result<HashMap<String, Record>> {
        let names = batch
            .iter()
            .filter_map(|outgoing| outgoing.record.record_name())
            .map(|name| name.to_string());
        let request = BatchGetRecordsRequest {
            names: names.collect(),
            view: View::Desk.into(),
            min_sequence: 0,
        };
        if request.names.is_empty() {
            return Ok(HashMap::new());
        }
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

    fn remember(&mut self, place: usize, stored: &Record, sent: &Record) {
        let (Some(body), Some(name)) = (&stored.kind, sent.record_name()) else {
            return;
        };
        let Some(meta) = body.meta() else { return };
        if meta.state() == State::Draft
            && let Some(mut body) = sent.kind.clone()
        {
            let references = draw(&mut body, State::Draft).references;
            let targets = references
                .into_iter()
                .map(|reference| reference.target)
                .collect();
            self.drafts.push(Draft {
                place,
                name,
                etag: meta.etag.clone(),
                targets,
            });
        }
    }
}

/// Whether a stored record says what the sent one says, but for what the service sets.
fn is_same(sent: &Record, stored: &Record) -> bool {
    let content = |record: &Record| {
        let mut record = record.clone();
        record.kind.as_mut()?.take_meta();
        // The service stores the normalised form; violations are its business too.
        drop(validate(&mut record, &mut Path::default()));
        record.kind
    };
    content(sent) == content(stored)
}

/// Sets of drafts that have to be published together, because they refer to each other; the set of the
/// first draft comes first.
fn components(drafts: &[Draft]) -> Vec<Vec<&Draft>> {
    let by_name: HashMap<_, _> = drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| (&draft.name, index))
        .collect();
    let mut neighbours = vec![Vec::new(); drafts.len()];
    for (index, draft) in drafts.iter().enumerate() {
        for target in draft
            .targets
            .iter()
            .filter_map(|target| by_name.get(target))
        {
            neighbours[index].push(*target);
            neighbours[*target].push(index);
        }
    }
    let mut seen = HashSet::new();
    let mut components = Vec::new();
    for start in 0..drafts.len() {
        let (mut component, mut open) = (Vec::new(), vec![start]);
        while let Some(index) = open.pop() {
            if seen.insert(index) {
                component.push(&drafts[index]);
                open.extend(&neighbours[index]);
            }
        }
        if !component.is_empty() {
            components.push(component);
        }
    }
    components
}

/// Tells the refusal with the places in the file instead of places in our request.
fn explain(failure: Failure, sent: &[Outgoing]) -> Failure {
    failure.rename(|field| place::told(field, |index| sent.get(index).map(Outgoing::known_as)))
}
