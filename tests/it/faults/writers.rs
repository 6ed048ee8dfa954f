//! Writers: each creates its own records and makes every kind of write on them, alone and in batches, and retries under
//! one request id until it knows the outcome.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dateline_client::{Client, Failure};
use dateline_proto::v1::{
    Byline, CommitRequest, CommitResponse, Evidence, Record, RecordVersion, State, Topic, Write,
    actor, record::Kind as Body, write::Action,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tonic::Code;
use uuid::Uuid;

use super::recorder::Recorder;
use crate::{
    support::{
        builders::{
            correct, create, delete, merge, publish, purge, retract, submit, unmerge, update,
        },
        records::{
            actor_citing, article_with_body, as_actor, as_article, evidence_beginning, membership,
            meta, name as name_of,
        },
    },
    validator::history::{AckedRevision, Answer},
};

/// Maximum duration of one attempt: a frozen server does not answer.
const TRY: Duration = Duration::from_secs(3);
/// The actor that all records refer to, and that filters use.
pub const ANCHOR: &str = "actors/anchor";
/// The article that all facts cite.
pub const SOURCE: &str = "articles/source";
const REGIONS: [&str; 4] = ["KZ", "DE", "FR", ""];

/// The servers that writers use, and the recorder.
#[derive(Clone)]
pub struct Desk {
    pub clients: [Client; 2],
    pub recorder: Arc<Recorder>,
}

impl Desk {
    /// Sends a request to either server in turn until the answer is final; records the request and the outcome.
    pub async fn commit(&self, first: usize, writes: Vec<Write>) -> Option<CommitResponse> {
        let names = writes.iter().map(name_of_write).collect();
        let request = CommitRequest {
            writes,
            request_id: Uuid::now_v7().to_string(),
            ..CommitRequest::default()
        };
        let number = self.recorder.asked(names);
        for server in first.. {
            let mut editorial = self.clients[server % 2].editorial.clone();
            let answer = tokio::time::timeout(TRY, editorial.commit(request.clone())).await;
            match answer {
                Ok(Ok(response)) => {
                    let response = response.into_inner();
                    self.recorder.answered(number, acknowledged(&response));
                    return Some(response);
                }
                Ok(Err(status)) if is_answer(&status) => {
                    let reason = Failure::from(status).reason;
                    self.recorder.answered(number, Answer::Refused(reason));
                    return None;
                }
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(_) => {}
            }
        }
        None
    }
}

/// Every error of the server itself has details; UNAVAILABLE means retry.
fn is_answer(status: &tonic::Status) -> bool {
    status.code() != Code::Unavailable && !status.details().is_empty()
}

fn acknowledged(response: &CommitResponse) -> Answer {
    let told = response.records.iter().map(|record| AckedRevision {
        name: name_of(record).to_owned(),
        revision: meta(record).revision,
        sequence: meta(record).sequence,
    });
    Answer::Acknowledged {
        records: told.collect(),
        batch: response.sequence,
        wire_batch: response.wire_sequence,
    }
}

fn name_of_write(write: &Write) -> String {
    let of = |record: &Option<Record>| record.as_ref().map(name_of).unwrap_or_default().to_owned();
    let version = |record: &Option<RecordVersion>| record.clone().unwrap_or_default().name;
    match write.action.as_ref().unwrap() {
        Action::Create(create) => of(&create.record),
        Action::Update(update) => of(&update.record),
        Action::Correct(correct) => of(&correct.record),
        Action::Delete(record) => record.name.clone(),
        Action::Submit(submit) => version(&submit.record),
        Action::SendBack(back) => version(&back.record),
        Action::Publish(publish) => version(&publish.record),
        Action::Retract(retract) => version(&retract.record),
        Action::Merge(merge) => version(&merge.record),
        Action::Unmerge(unmerge) => version(&unmerge.record),
        Action::Restore(restore) => version(&restore.record),
        Action::Purge(purge) => version(&purge.record),
    }
}

fn evidence() -> Evidence {
    evidence_beginning(SOURCE, "Source")
}

fn make_actor(id: &str, region: &str, kind: actor::Type) -> Record {
    let mut record = actor_citing(id, evidence());
    let actor = as_actor(&mut record);
    actor.r#type = kind.into();
    actor.region_code = region.into();
    record
}

fn make_article(id: &str, language: &str, topic: &str, body: &str) -> Record {
    let mut record = article_with_body(id, body);
    let article = as_article(&mut record);
    article.language_code = language.into();
    article.bylines = vec![Byline {
        display_name: "Somebody".into(),
        actor: ANCHOR.into(),
        ..Byline::default()
    }];
    article.topics = vec![Topic {
        id: topic.into(),
        label: topic.into(),
        ..Topic::default()
    }];
    record
}

fn make_relation(id: &str, subject: &str) -> Record {
    membership(id, subject, ANCHOR, evidence())
}

/// Creates and publishes the records that all others refer to.
pub async fn prepare(desk: &Desk) {
    let mut source = article_with_body("source", "");
    as_article(&mut source).headline = "Source of all".into();
    let anchor = make_actor("anchor", "KZ", actor::Type::Organization);
    let made = desk.commit(0, vec![create(&source), create(&anchor)]).await;
    let made = made.expect("they are made").records;
    let shown = desk.commit(0, made.iter().map(publish).collect()).await;
    shown.expect("they are published");
}

/// Publishes batches that are larger than a response, and together larger than a page of the log, on both feeds.
pub async fn write_much(desk: &Desk, batches: usize) {
    let body = "words ".repeat(9000);
    for batch in 0..batches {
        let parts =
            (0..4).map(|part| make_article(&format!("much-{batch}-{part}"), "en", "aid", &body));
        let made = desk
            .commit(0, parts.map(|part| create(&part)).collect())
            .await;
        let made = made.expect("they are made").records;
        desk.commit(0, made.iter().map(publish).collect()).await;
    }
}

/// One writer and its records.
pub struct Writer {
    number: usize,
    desk: Desk,
    random: StdRng,
    known: Vec<Record>,
}

impl Writer {
    pub fn new(number: usize, desk: Desk, seed: u64) -> Self {
        Self {
            number,
            desk,
            random: StdRng::seed_from_u64(seed ^ ((number as u64) << 32)),
            known: Vec::new(),
        }
    }

    /// Writes until it is stopped, for at most `rounds` rounds.
    pub async fn run(mut self, stop: Arc<AtomicBool>, rounds: usize, pause: Duration) {
        for round in 0..rounds {
            if stop.load(Ordering::Acquire) {
                return;
            }
            self.round(round).await;
            let pause = pause.mul_f64(self.random.random_range(0.0..2.0));
            tokio::time::sleep(pause).await;
        }
    }

    async fn round(&mut self, round: usize) {
        let id = format!("w{}-r{round}", self.number);
        let text = format!("as of {id}");
        match self.random.random_range(0..16) {
            0 | 1 => {
                let record = self.fresh(&id);
                self.commit(vec![create(&record)]).await;
            }
            2 | 3 => {
                let parts = self.random.random_range(2..6);
                let batch = (0..parts).map(|part| create(&self.fresh(&format!("{id}-{part}"))));
                let batch = batch.collect();
                self.commit(batch).await;
            }
            4 => {
                let Some(draft) = self.pick(State::Draft) else {
                    return;
                };
                let edited = self.edited(draft, &text);
                self.commit(vec![update(&edited, &[])]).await;
            }
            5 | 6 => {
                let drafts: Vec<_> = self.all(State::Draft).into_iter().take(3).collect();
                let batch: Vec<_> = drafts.iter().map(publish).collect();
                self.commit(batch).await;
            }
            7 | 8 => {
                let Some(public) = self.pick(State::Published) else {
                    return;
                };
                let edited = self.edited(public, &text);
                // Writes of one commit reach streams in one batch.
                let beside = create(&self.fresh(&id));
                self.commit(vec![correct(&edited, &[], &text), beside])
                    .await;
            }
            9 => {
                let Some(public) = self.pick(State::Published) else {
                    return;
                };
                self.commit(vec![retract(&public, "withdrawn", false)])
                    .await;
            }
            10 => self.merge().await,
            11 => {
                let Some(draft) = self.pick(State::Draft) else {
                    return;
                };
                self.commit(vec![delete(&draft)]).await;
            }
            12 if round.is_multiple_of(2) => {
                let states = [State::Draft, State::Published, State::Retracted];
                let state = states[self.random.random_range(0..states.len())];
                let Some(record) = self.pick(state) else {
                    return;
                };
                self.commit(vec![purge(&record, true)]).await;
            }
            12 => {
                let Some(draft) = self.pick(State::Draft) else {
                    return;
                };
                self.commit(vec![submit(&draft)]).await;
            }
            13 => self.tie(&id).await,
            14 => {
                let beside = self.fresh(&id);
                let nonsense = make_actor("NOT-a-name", "KZ", actor::Type::Person);
                self.commit(vec![create(&beside), create(&nonsense)]).await;
            }
            _ => {
                let Some(merged) = self.pick(State::Merged) else {
                    return;
                };
                self.commit(vec![unmerge(&merged)]).await;
            }
        }
    }

    /// Merges a published actor into another one.
    async fn merge(&mut self) {
        let actors = self.all(State::Published);
        let mut actors = actors
            .iter()
            .filter(|record| name_of(record).starts_with("actors/"));
        if let (Some(record), Some(into)) = (actors.next(), actors.next()) {
            self.commit(vec![merge(record, into)]).await;
        }
    }

    /// Creates an actor and a relation to it in one commit, and publishes both in another.
    async fn tie(&mut self, id: &str) {
        let subject = format!("actors/{id}");
        let pair = vec![
            create(&make_relation(id, &subject)),
            create(&make_actor(id, "DE", actor::Type::Person)),
        ];
        let made = self.commit(pair).await;
        if !made.is_empty() {
            self.commit(made.iter().map(publish).collect()).await;
        }
    }

    fn fresh(&mut self, id: &str) -> Record {
        let region = REGIONS[self.random.random_range(0..REGIONS.len())];
        match self.random.random_range(0..4) {
            0 => {
                let language = ["en", "kk"][self.random.random_range(0..2)];
                let topic = ["aid", "trade"][self.random.random_range(0..2)];
                make_article(id, language, topic, "short")
            }
            1 => make_actor(id, region, actor::Type::Person),
            _ => make_actor(id, region, actor::Type::Organization),
        }
    }

    fn edited(&mut self, mut record: Record, text: &str) -> Record {
        let region = REGIONS[self.random.random_range(0..REGIONS.len())];
        match &mut record.kind {
            Some(Body::Actor(actor)) => {
                actor.description = text.to_owned();
                actor.region_code = region.into();
            }
            Some(Body::Article(article)) => article.summary = text.to_owned(),
            Some(Body::Relation(relation)) => relation.role_title = String::new(),
            _ => {}
        }
        record
    }

    fn all(&self, state: State) -> Vec<Record> {
        let wanted = |record: &&Record| meta(record).state() == state;
        self.known.iter().filter(wanted).cloned().collect()
    }

    fn pick(&mut self, state: State) -> Option<Record> {
        let there: Vec<_> = self.all(state);
        // Only records with a text that can be changed.
        let there: Vec<_> = there
            .into_iter()
            .filter(|record| !name_of(record).starts_with("relations/"))
            .collect();
        (!there.is_empty()).then(|| there[self.random.random_range(0..there.len())].clone())
    }

    /// Sends a request, and keeps the resulting records; returns none if it was refused.
    async fn commit(&mut self, writes: Vec<Write>) -> Vec<Record> {
        if writes.is_empty() {
            return Vec::new();
        }
        let gone: Vec<_> = writes
            .iter()
            .filter(|write| matches!(write.action, Some(Action::Delete(_) | Action::Purge(_))))
            .map(name_of_write)
            .collect();
        let names: Vec<_> = writes.iter().map(name_of_write).collect();
        let Some(answer) = self
            .desk
            .commit(self.random.random_range(0..2), writes)
            .await
        else {
            // Forget the records: the cause of the refusal persists.
            self.known
                .retain(|record| !names.contains(&name_of(record).to_owned()));
            return Vec::new();
        };
        for record in &answer.records {
            self.known.retain(|known| name_of(known) != name_of(record));
            if !gone.contains(&name_of(record).to_owned()) && name_of(record) != ANCHOR {
                self.known.push(record.clone());
            }
        }
        answer.records
    }
}
