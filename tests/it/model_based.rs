//! Random requests, valid and invalid, by several clients at two servers that are restarted at times, against a small
//! model of the contract: after each request the service and the model agree on its outcome and on the visible state. A
//! failure prints its seed and step; `DATELINE_SEED` and `DATELINE_STEPS` repeat just that run.

mod conversion;
mod model;
mod pairs;

use std::collections::{BTreeMap, BTreeSet};

use dateline_proto::v1::{
    CommitRequest, CommitResponse, Record, RecordVersion, State, View, Write, record::Kind as Body,
    write,
};
use prost_types::Timestamp;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use uuid::Uuid;

use self::{
    conversion::{read, record},
    model::{Content, Deed, Deeds, Model, ModelRecord, Outcome, is_article, is_visible},
};
use crate::support::{
    builders::get_request,
    editing,
    editing::{RpcError, find_record, get_record, try_commit},
    records::{meta, name as name_of},
    server::{TestServer, config, create_database, start_server_with},
};

/// Steps in the form that CI runs.
const STEPS: usize = 600;
/// Names of each kind.
const IDS: usize = 9;

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// A run: the service, the model, and the clients' memory.
struct Run {
    servers: Vec<TestServer>,
    model: Model,
    random: StdRng,
    /// Etags by name and revision, as they were returned.
    etags: BTreeMap<(String, usize), String>,
    /// Accepted requests with their answers, to be repeated.
    answered: Vec<(CommitRequest, CommitResponse)>,
    /// A time far ahead, the same for all embargoes.
    embargo: Timestamp,
    outcomes: BTreeMap<String, usize>,
}

impl Run {
    async fn begin(seed: u64) -> Self {
        let url = create_database().await;
        Self {
            servers: vec![
                start_server_with(config(&url)).await,
                start_server_with(config(&url)).await,
            ],
            model: Model::default(),
            random: StdRng::seed_from_u64(seed),
            etags: BTreeMap::new(),
            answered: Vec::new(),
            embargo: editing::timestamp_in_ms(3_600_000),
            outcomes: BTreeMap::new(),
        }
    }

    fn any(&mut self, kind: &str) -> String {
        format!("{kind}/m{}", self.random.random_range(0..IDS))
    }

    fn some(&mut self, kind: &str, most: usize) -> BTreeSet<String> {
        let public = self.model.records.iter().filter(|(name, known)| {
            name.starts_with(kind) && known.state == State::Published && !known.gone
        });
        let public: Vec<_> = public.map(|(name, _)| name.clone()).collect();
        let count = self.random.random_range(0..=most);
        let mut one = || match public.choose(&mut self.random) {
            Some(name) if self.random.random_bool(0.8) => name.clone(),
            _ => self.any(kind),
        };
        (0..count).map(|_| one()).collect()
    }

    fn content(&mut self, name: &str) -> Content {
        let mut content = Content {
            text: format!("text {}", self.random.random_range(0..3)),
            ..Content::default()
        };
        if !is_article(name) {
            content.cites = self.some("articles", 2);
            if content.cites.is_empty() && self.random.random_bool(0.8) {
                content.cites = self.some("articles", 2);
            }
        }
        if name.starts_with("events/") {
            content.names = self.some("actors", 1);
            let itself = |whole: &String| whole != name;
            content.part_of = self.some("events", 1).into_iter().filter(itself).collect();
        }
        content
    }

    /// A plausible write: mostly one that the record's state allows.
    fn deeds(&mut self) -> Deeds {
        let kind = *["articles", "actors", "events"]
            .choose(&mut self.random)
            .unwrap();
        let mut name = self.any(kind);
        // Records in final states are mostly skipped.
        for _ in 0..4 {
            let known = self.model.records.get(&name);
            if known.is_none_or(|it| !it.gone && it.state != State::Retracted) {
                break;
            }
            name = self.any(kind);
        }
        let known = self.model.records.get(&name).cloned();
        let newest = known.as_ref().map_or(1, ModelRecord::revision);
        let stale = self.random.random_bool(0.06);
        let seen = if stale {
            self.random.random_range(1..=newest)
        } else {
            newest
        };
        let noted = self.random.random_bool(0.9);
        let cascade = self.random.random_bool(0.5);
        let state = known.as_ref().filter(|it| !it.gone).map(|it| it.state);
        let sensible = match state {
            None => &[0, 0, 0, 0, 0, 0, 0, 0, 12][..],
            Some(State::Draft) => &[1, 1, 1, 3, 3, 5, 5, 5, 5, 5, 5, 6, 11, 2],
            Some(State::InReview) => &[4, 5, 5],
            Some(State::Embargoed) => &[4, 4, 5, 5, 5, 6, 12],
            Some(State::Published) => &[7, 7, 7, 7, 8, 9, 9, 11, 11, 5],
            Some(State::Merged) => &[10, 10, 10, 10, 12],
            Some(_) => &[12, 0],
        };
        let mut pick = *sensible.choose(&mut self.random).unwrap();
        if self.random.random_bool(0.12) {
            pick = self.random.random_range(0..13);
        }
        let deed = match pick {
            0 => Deed::Create(self.content(&name)),
            1 => Deed::Update(self.content(&name)),
            2 => Deed::Delete,
            3 => Deed::Submit,
            4 => Deed::SendBack,
            5 => Deed::Publish,
            6 => Deed::Embargo,
            7 => Deed::Correct(self.content(&name), noted),
            8 => Deed::Retract { cascade, noted },
            9 => {
                let into = self.any(kind);
                let seen = self
                    .model
                    .records
                    .get(&into)
                    .map_or(1, ModelRecord::revision);
                Deed::Merge { into, seen }
            }
            10 => Deed::Unmerge,
            11 => {
                let revision = self.random.random_range(1..=newest + 1);
                Deed::Restore { revision, noted }
            }
            _ => Deed::Purge { cascade },
        };
        Deeds { name, seen, deed }
    }

    /// A request of one to five writes of different records.
    fn request(&mut self) -> Vec<Deeds> {
        let count = *[1, 1, 1, 2, 3, 5].choose(&mut self.random).unwrap();
        let mut taken = BTreeSet::new();
        let mut request: Vec<Deeds> = Vec::new();
        let mut cascade = None;
        for _ in 0..count {
            let mut deeds = self.deeds();
            // One cascade flag for the whole request.
            if let Deed::Retract { cascade: it, .. } | Deed::Purge { cascade: it } = &mut deeds.deed
            {
                *it = *cascade.get_or_insert(*it);
            }
            let names: Vec<_> = deeds.names().cloned().collect();
            if names.iter().all(|name| !taken.contains(name)) {
                taken.extend(names);
                request.push(deeds);
            }
        }
        request
    }

    fn version(&self, name: &str, seen: usize) -> RecordVersion {
        let etag = self.etags.get(&(name.to_owned(), seen));
        editing::version_with_etag(name, etag.map_or("0-unknown", String::as_str))
    }

    fn body(&self, deeds: &Deeds, content: &Content) -> Option<Record> {
        let mut record = record(&deeds.name, content);
        let meta = dateline_proto::v1::RecordMeta {
            etag: self.version(&deeds.name, deeds.seen).etag,
            ..Default::default()
        };
        match record.kind.as_mut()? {
            Body::Article(it) => it.meta = Some(meta),
            Body::Actor(it) => it.meta = Some(meta),
            Body::Relation(it) => it.meta = Some(meta),
            Body::Event(it) => it.meta = Some(meta),
        }
        Some(record)
    }

    fn write(&self, deeds: &Deeds) -> Write {
        use write::Action;
        let read = Some(self.version(&deeds.name, deeds.seen));
        let note = |noted: bool| {
            if noted {
                "noted".to_owned()
            } else {
                String::new()
            }
        };
        let action = match &deeds.deed {
            Deed::Create(content) => Action::Create(write::Create {
                record: Some(record(&deeds.name, content)),
                original: Vec::new(),
            }),
            Deed::Update(content) => Action::Update(write::Update {
                record: self.body(deeds, content),
                update_mask: None,
            }),
            Deed::Delete => Action::Delete(self.version(&deeds.name, deeds.seen)),
            Deed::Submit => Action::Submit(write::Submit { record: read }),
            Deed::SendBack => Action::SendBack(write::SendBack {
                record: read,
                note: String::new(),
            }),
            Deed::Publish | Deed::Embargo => Action::Publish(write::Publish {
                record: read,
                embargo_time: matches!(deeds.deed, Deed::Embargo).then_some(self.embargo),
            }),
            Deed::Correct(content, noted) => Action::Correct(write::Correct {
                record: self.body(deeds, content),
                update_mask: None,
                note: note(*noted),
                kind: 0,
            }),
            Deed::Retract { cascade, noted } => Action::Retract(write::Retract {
                record: read,
                note: note(*noted),
                cascade: *cascade,
            }),
            Deed::Merge { into, seen } => Action::Merge(write::Merge {
                record: read,
                into: Some(self.version(into, *seen)),
                note: String::new(),
            }),
            Deed::Unmerge => Action::Unmerge(write::Unmerge {
                record: read,
                note: String::new(),
            }),
            Deed::Restore { revision, noted } => Action::Restore(write::Restore {
                record: read,
                revision: i64::try_from(*revision).unwrap(),
                note: note(*noted),
            }),
            Deed::Purge { cascade } => Action::Purge(write::Purge {
                record: read,
                note: "by order".into(),
                cascade: *cascade,
            }),
        };
        Write {
            action: Some(action),
        }
    }

    fn server(&mut self) -> &TestServer {
        let pick = self.random.random_range(0..self.servers.len());
        &self.servers[pick]
    }

    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0 => self.restart().await,
            1..8 => self.repeat().await,
            _ => self.commit().await,
        }
    }

    async fn restart(&mut self) {
        let server = self
            .servers
            .swap_remove(self.random.random_range(0..self.servers.len()));
        let url = server.url.clone();
        server.stop().await;
        self.servers.push(start_server_with(config(&url)).await);
    }

    /// Repeats an earlier request (W4), or uses its id for another one.
    async fn repeat(&mut self) {
        let Some((request, answer)) = self.answered.choose(&mut self.random).cloned() else {
            return;
        };
        let other = self.random.random_bool(0.3);
        let asked = CommitRequest {
            validate_only: other,
            omit_content: !request.omit_content,
            ..request
        };
        let client = self.server().client.clone();
        match try_commit(&client, asked).await {
            Ok(again) if !other => {
                assert_eq!(
                    (again.sequence, again.wire_sequence),
                    (answer.sequence, answer.wire_sequence)
                );
                assert_eq!(
                    editing::names(&again.records),
                    editing::names(&answer.records)
                );
            }
            Err(refused) if other => assert_eq!(refused.reason, "REQUEST_ID_REUSED"),
            answer => panic!("a repeated request: {answer:?}"),
        }
    }

    async fn commit(&mut self) {
        let deeds = self.request();
        let only_asks = self.random.random_bool(0.05);
        self.send_and_check(deeds, only_asks).await;
    }

    /// Sends a request, and compares what it comes to with the model.
    async fn send_and_check(&mut self, deeds: Vec<Deeds>, only_asks: bool) {
        let request = CommitRequest {
            writes: deeds.iter().map(|deeds| self.write(deeds)).collect(),
            request_id: Uuid::now_v7().to_string(),
            validate_only: only_asks,
            ..CommitRequest::default()
        };
        let expected = if only_asks {
            self.model.clone().apply(&deeds)
        } else {
            self.model.apply(&deeds)
        };
        let client = self.server().client.clone();
        let answer = try_commit(&client, request.clone()).await;
        self.compare(&deeds, &expected, &answer);
        let (Ok(changed), Ok(answer)) = (expected, answer) else {
            return self
                .look_at(deeds.into_iter().map(|it| it.name).collect())
                .await;
        };
        if only_asks {
            return self
                .look_at(deeds.into_iter().map(|it| it.name).collect())
                .await;
        }
        if !changed.is_empty() {
            assert_eq!(answer.sequence, self.model.desk, "{deeds:?}");
        }
        for record in &answer.records {
            let revision = usize::try_from(meta(record).revision).unwrap();
            let key = (name_of(record).to_owned(), revision);
            let etag = meta(record).etag;
            let told = self.etags.insert(key, etag.clone());
            assert!(
                told.is_none_or(|told| told == etag),
                "an etag stands for one revision"
            );
        }
        self.answered.push((request, answer));
        let all = deeds.into_iter().map(|it| it.name).chain(changed).collect();
        self.look_at(all).await;
    }

    fn compare(
        &mut self,
        deeds: &[Deeds],
        expected: &Outcome,
        answer: &Result<CommitResponse, RpcError>,
    ) {
        let outcome = match (expected, answer) {
            (Ok(_), Ok(_)) => "OK".to_owned(),
            (Err(reasons), Err(refused)) if reasons.contains(refused.reason.as_str()) => {
                refused.reason.clone()
            }
            _ => panic!("{deeds:?}\nthe contract says {expected:?}, the service {answer:?}"),
        };
        *self.outcomes.entry(outcome).or_default() += 1;
    }

    async fn look_at(&mut self, names: BTreeSet<String>) {
        for name in names {
            for view in [View::Desk, View::Published] {
                let client = self.server().client.clone();
                let seen = find_record(&client, &name, view).await;
                let known = self.model.records.get(&name).filter(|it| !it.gone);
                let known = known.filter(|it| view == View::Desk || is_visible(it.state));
                let (Some(record), Some(known)) = (&seen, known) else {
                    assert_eq!(
                        seen.is_some(),
                        known.is_some(),
                        "{name} {view:?}: {seen:?} {known:?}"
                    );
                    continue;
                };
                self.assert_as_known(record, known, view);
                let led = get_record(&client, get_request(&name, view))
                    .await
                    .unwrap()
                    .record
                    .unwrap();
                assert_eq!(name_of(&led), self.model.leads_to(&name));
            }
        }
    }

    fn assert_as_known(&self, seen: &Record, known: &ModelRecord, view: View) {
        let told = meta(seen);
        let name = name_of(seen);
        assert_eq!(told.state(), known.state, "{name}");
        assert_eq!(
            told.revision,
            i64::try_from(known.revision()).unwrap(),
            "{name}"
        );
        assert_eq!(
            Some(&told.etag),
            self.etags.get(&(name.to_owned(), known.revision()))
        );
        assert_eq!(told.merged_into, known.merged_into, "{name}");
        let from: BTreeSet<_> = told.merged_from.into_iter().collect();
        assert_eq!(from, known.merged_from, "{name}");
        assert_eq!(told.corrections.len(), known.corrections, "{name}");
        let tombstone = matches!(known.state, State::Retracted | State::Merged);
        let content = if tombstone && view == View::Published {
            Content::default()
        } else {
            known.content.clone()
        };
        assert_eq!(read(seen), content, "{name} {view:?}");
    }

    async fn end(mut self) {
        let all = self.model.records.keys().cloned().collect();
        self.look_at(all).await;
        let heads = editing::feed_heads(&self.servers[0].url).await;
        assert_eq!(heads, (self.model.desk, self.model.wire));
        println!("outcomes {:?}, heads {heads:?}", self.outcomes);
        for server in self.servers {
            server.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w2_to_w11_the_service_and_the_model_of_the_contract_agree_on_random_lives() {
    let steps = variable("DATELINE_STEPS").unwrap_or(STEPS);
    let seed: u64 = variable("DATELINE_SEED").unwrap_or_else(rand::random);
    println!("DATELINE_SEED={seed} DATELINE_STEPS={steps}");
    // Starts from an empty database after some steps, because names are used up.
    let (mut left, mut round) = (steps, 0);
    while left > 0 {
        let mut run = Run::begin(seed ^ round).await;
        let now = left.min(STEPS / 2);
        for step in 0..now {
            println!("round {round} step {step}");
            run.step().await;
        }
        run.end().await;
        left -= now;
        round += 1;
    }
}
