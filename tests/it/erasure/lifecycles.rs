//! The lives of records that are to be erased: every verb that there is, and other records that refer to them, quote
//! them, or were given a note of theirs.

use dateline_proto::v1::{
    CommitRequest, CommitResponse, GetRecordRequest, Kind, Record, RecordVersion,
    RetractRecordsRequest, SendBackRecordsRequest, State, View, Write, record::Kind as Body,
};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::planted_records::{PlantedWords, ReferenceTargets, as_read, full, noted};
use crate::support::{editing::*, server::TestServer};

/// A server, records of one kind that will be erased, and others.
pub struct ErasureFixture {
    pub server: TestServer,
    kind: Kind,
    referents: ReferenceTargets,
    /// Of what will be erased.
    pub words: PlantedWords,
    /// Of the others.
    pub others: PlantedWords,
    /// The record to erase, in its present state.
    pub lived: Vec<Record>,
    /// Requests that were sent under an id.
    pub requests: Vec<CommitRequest>,
}

impl ErasureFixture {
    pub async fn start(kind: Kind) -> Self {
        let server = start_server_with_base().await;
        for companion in [relation("companion"), event("companion")] {
            create_published(&server.client, &companion).await;
        }
        Self {
            server,
            kind,
            referents: ReferenceTargets::new(),
            words: PlantedWords::new("zq"),
            others: PlantedWords::new("yq"),
            lived: Vec::new(),
            requests: Vec::new(),
        }
    }

    pub async fn live_all(&mut self) {
        self.lead_a_long_life().await;
        self.be_withdrawn_by_name().await;
        self.be_sent_back_by_name().await;
        self.be_deleted().await;
        self.wait_for_an_embargo().await;
        if self.kind == Kind::Article {
            self.be_withdrawn_with_what_rests_on_it().await;
        } else {
            self.be_withdrawn_with_its_source().await;
            self.be_merged().await;
            self.take_others_in().await;
        }
    }

    pub fn erased_names(&self) -> Vec<String> {
        self.lived.iter().map(|it| name(it).to_owned()).collect()
    }

    /// Of all records there ever were.
    pub async fn names(&self) -> Vec<String> {
        let mut sql = PgConnection::connect(&self.server.url).await.unwrap();
        let names = sqlx::query_scalar("SELECT name FROM records ORDER BY name");
        names.fetch_all(&mut sql).await.unwrap()
    }

    /// A full record that will be erased.
    fn doomed(&mut self, id: &str) -> Record {
        full(self.kind, id, &self.referents, &mut self.words)
    }

    /// A full record of the same kind that will not.
    fn other(&mut self, id: &str) -> Record {
        full(self.kind, id, &self.referents, &mut self.others)
    }

    /// Sends writes under an id, each with a note of its own where there can be one.
    async fn act(&mut self, writes: Vec<Write>) -> CommitResponse {
        let writes = writes.iter().map(|write| noted(write, &mut self.words));
        let request = CommitRequest {
            request_id: Uuid::now_v7().to_string(),
            ..commit_request(writes.collect())
        };
        let answer = try_commit(&self.server.client, request.clone()).await;
        let answer = answer.unwrap_or_else(|refused| panic!("{request:?}: {refused:?}"));
        self.requests.push(request);
        answer
    }

    async fn act_once(&mut self, write: Write) -> Record {
        self.act(vec![write]).await.records.swap_remove(0)
    }

    async fn now(&self, record: &Record) -> Record {
        desk_record(&self.server.client, name(record)).await
    }

    async fn doomed_draft(&mut self, id: &str) -> Record {
        let record = self.doomed(id);
        self.act_once(create(&record)).await
    }

    async fn doomed_public(&mut self, id: &str) -> Record {
        let draft = self.doomed_draft(id).await;
        self.act_once(publish(&draft)).await
    }

    async fn other_public(&mut self, id: &str) -> Record {
        let other = self.other(id);
        create_published(&self.server.client, &other).await
    }

    /// From draft to public by way of the desk and of an embargo, and every change of a public record that can be
    /// undone.
    async fn lead_a_long_life(&mut self) {
        let first = self.doomed("long");
        let draft = if self.kind == Kind::Article {
            // The text that it was made of is not kept, and the hash only with the article.
            let draft = self.act_once(create_from(&first, "as received")).await;
            self.words.add(hash_of(&draft), "original_sha256");
            draft
        } else {
            self.act_once(create(&first)).await
        };
        let second = as_read(&self.doomed("long"), &draft);
        let draft = self.act_once(update(&second, &[])).await;
        let review = self.act_once(submit(&draft)).await;
        let draft = self.act_once(send_back(&review, "")).await;
        let hidden = self
            .act_once(publish_at(&draft, Some(timestamp_in_ms(400))))
            .await;
        let client = self.server.client.clone();
        wait_until("the embargo ends", async || {
            state(&desk_record(&client, name(&hidden)).await) == State::Published
        })
        .await;
        self.be_referred_to(&hidden).await;
        let public = self.now(&hidden).await;
        let third = as_read(&self.doomed("long"), &public);
        let public = self.act_once(correct(&third, &[], "")).await;
        let public = self.act_once(restore(&public, 1, "")).await;
        self.lived.push(public);
    }

    /// One record of each kind that names it wherever it can, in words of its own.
    async fn be_referred_to(&mut self, record: &Record) {
        let referents = self.referents.clone().with(self.kind, name(record));
        for kind in KINDS {
            let referrer = full(kind, "referrer", &referents, &mut self.others);
            create_published(&self.server.client, &referrer).await;
        }
    }

    /// With another one, and one note for both.
    async fn be_withdrawn_by_name(&mut self) {
        let doomed = self.doomed_public("withdrawn").await;
        let other = self.other_public("withdrawn-too").await;
        let request = RetractRecordsRequest {
            records: both(&doomed, &other),
            note: self.words.plant("retract.note"),
            ..RetractRecordsRequest::default()
        };
        let mut editorial = self.server.client.clone().editorial;
        editorial.retract_records(request).await.unwrap();
        self.lived.push(self.now(&doomed).await);
    }

    async fn be_sent_back_by_name(&mut self) {
        let doomed = self.doomed_draft("sent-back").await;
        let other = self.other("sent-back-too");
        let other = create_drafts(&self.server.client, &[other])
            .await
            .swap_remove(0);
        let handed_in = self.act(vec![submit(&doomed), submit(&other)]).await;
        let request = SendBackRecordsRequest {
            records: both(&handed_in.records[0], &handed_in.records[1]),
            note: self.words.plant("send_back.note"),
            ..SendBackRecordsRequest::default()
        };
        let mut editorial = self.server.client.clone().editorial;
        editorial.send_back_records(request).await.unwrap();
        self.lived.push(self.now(&doomed).await);
    }

    async fn be_deleted(&mut self) {
        let draft = self.doomed_draft("deleted").await;
        self.act_once(delete(&draft)).await;
        let last = GetRecordRequest {
            revision: Some(2),
            ..get_request(name(&draft), View::Desk)
        };
        let last = get_record(&self.server.client, last).await.unwrap();
        self.lived.push(last.record.unwrap());
    }

    async fn wait_for_an_embargo(&mut self) {
        let draft = self.doomed_draft("hidden").await;
        let hidden = self
            .act_once(publish_at(&draft, Some(timestamp_in_ms(3_600_000))))
            .await;
        self.lived.push(hidden);
    }

    /// An article takes along the facts that rest on it alone, and they are given its note.
    async fn be_withdrawn_with_what_rests_on_it(&mut self) {
        let article = self.doomed_public("only-source").await;
        for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Article) {
            let fact = full(kind, "fact", &self.referents, &mut self.others);
            let fact = resting_on(&article, fact);
            create_published(&self.server.client, &fact).await;
        }
        let gone = self.act(vec![retract(&article, "", true)]).await;
        assert_eq!(gone.records.len(), 4);
        self.lived.push(gone.records[0].clone());
    }

    /// A fact is withdrawn with its article and with another fact, and all of them are given one note.
    async fn be_withdrawn_with_its_source(&mut self) {
        let source = create_published(&self.server.client, &article("only-source")).await;
        let fact = resting_on(&source, self.doomed("resting"));
        let draft = create_drafts(&self.server.client, &[fact])
            .await
            .swap_remove(0);
        let fact = self.act_once(publish(&draft)).await;
        let other = resting_on(&source, self.other("resting-too"));
        create_published(&self.server.client, &other).await;
        let gone = self.act(vec![retract(&source, "", true)]).await;
        assert_eq!(gone.records.len(), 3);
        self.lived.push(self.now(&fact).await);
    }

    /// Into another one, out of it, and into it once more.
    async fn be_merged(&mut self) {
        let mut loser = self.doomed_public("loser").await;
        let winner = self.other_public("winner").await;
        for _ in 0..2 {
            let winner = self.now(&winner).await;
            let gone = self.act_once(merge(&loser, &winner)).await;
            loser = self.act_once(unmerge(&gone)).await;
        }
        let winner = self.now(&winner).await;
        let gone = self.act_once(merge(&loser, &winner)).await;
        self.lived.push(gone);
    }

    /// Others are merged into it, one of them is taken out again, and it is withdrawn.
    async fn take_others_in(&mut self) {
        let mut winner = self.doomed_public("taking-in").await;
        for id in ["taken-in", "taken-out"] {
            let loser = self.other_public(id).await;
            let gone = self.act_once(merge(&loser, &winner)).await;
            if id == "taken-out" {
                self.act_once(unmerge(&gone)).await;
            }
            winner = self.now(&winner).await;
        }
        let gone = self.act_once(retract(&winner, "", false)).await;
        self.lived.push(gone);
    }
}

fn both(one: &Record, other: &Record) -> Vec<RecordVersion> {
    vec![version(one), version(other)]
}

/// The hash of the text that an article was made of.
fn hash_of(article: &Record) -> String {
    match article.kind.as_ref() {
        Some(Body::Article(article)) => article.original_sha256.clone(),
        other => panic!("no article: {other:?}"),
    }
}

/// The record with one source.
fn resting_on(source: &Record, mut fact: Record) -> Record {
    let evidence = fact.kind.as_mut().and_then(Body::evidence_mut).unwrap();
    evidence.truncate(1);
    name(source).clone_into(&mut evidence[0].article);
    fact
}
