//! Kill -9 of the server and of Postgres in turn, under 16 writers who retry until they have an answer: acknowledged
//! writes exist once, refused ones do not exist. `docs/campaigns.md` describes the long form.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use dateline_client::Client;
use dateline_proto::v1::{CommitRequest, CommitResponse, Record, Write};
use nix::sys::signal::{Signal, kill};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tonic::{Code, Status};
use uuid::Uuid;

use super::{postmaster, whole_feed};
use crate::support::{
    builders::{create, create_request, publish, retract, update},
    invariants::{
        AckedChange, ReceivedChanges, assert_acknowledged, assert_dense, assert_revisions_follow,
        assert_whole_batches,
    },
    process::{PROCESS_TIMEOUT, serve},
    records::{article_with_body, as_article, meta, name},
    server::temp_dir,
};

const WRITERS: usize = 16;
/// Kills in the form that CI runs.
const KILLS: usize = 4;
/// Answers between two kills, so that requests are always in flight.
const ANSWERS: usize = 150;

/// The answers that writers got.
#[derive(Default)]
pub(super) struct CampaignAnswers {
    acknowledged: Mutex<Vec<AckedChange>>,
    refused: Mutex<HashSet<String>>,
    pub(super) stop: AtomicBool,
}

impl CampaignAnswers {
    /// Sends a request under one id until the answer is final.
    async fn send(&self, client: &Client, writes: Vec<Write>) -> Result<CommitResponse, Status> {
        let request = CommitRequest {
            writes,
            request_id: Uuid::now_v7().to_string(),
            ..CommitRequest::default()
        };
        loop {
            match client.commit(request.clone()).await {
                Err(status)
                    if status.code() == Code::Unavailable || status.details().is_empty() =>
                {
                    println!("no answer yet: {}", status.message());
                }
                answer => return answer,
            }
        }
    }

    async fn commit(&self, client: &Client, writes: Vec<Write>) -> Vec<Record> {
        let answer = self.send(client, writes).await;
        let answer =
            answer.unwrap_or_else(|status| panic!("a good request was refused: {status:?}"));
        let told = answer.records.iter().map(|record| AckedChange {
            name: name(record).to_owned(),
            revision: meta(record).revision,
            desk_sequence: meta(record).sequence,
            batch: answer.sequence,
        });
        self.acknowledged.lock().unwrap().extend(told);
        answer.records
    }

    pub(super) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    pub(super) async fn until(&self, count: usize) {
        let growing = async {
            while self.count() < count {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let grown = tokio::time::timeout(PROCESS_TIMEOUT, growing).await;
        grown.unwrap_or_else(|_| panic!("{} answers of {count} came", self.count()));
    }

    /// Compares the answers to writers with the feed.
    fn compare(&self, desk: &ReceivedChanges, kills: usize) {
        let acknowledged = self.acknowledged.lock().unwrap();
        assert_eq!(acknowledged.len(), desk.changes.len(), "each once");
        assert_acknowledged(desk, &acknowledged, &HashSet::new());
        let refused = self.refused.lock().unwrap();
        let kept = desk
            .changes
            .iter()
            .find(|change| refused.contains(&change.name));
        assert!(kept.is_none(), "{kept:?} was refused");
        println!(
            "{kills} kills, {} changes acknowledged, {} requests refused",
            acknowledged.len(),
            refused.len()
        );
    }
}

pub(super) async fn write(number: usize, address: String, told: Arc<CampaignAnswers>, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed ^ number as u64);
    let client = Client::connect(&address).await.unwrap();
    for round in 0.. {
        if told.stop.load(Ordering::Acquire) {
            return;
        }
        let id = format!("w{number}-r{round}");
        match random.random_range(0..4) {
            0 => drop(
                told.commit(&client, vec![create(&article_with_body(&id, "alone"))])
                    .await,
            ),
            1 => {
                let parts = (0..random.random_range(2..6)).map(|part| format!("{id}-{part}"));
                let batch = parts.map(|id| create(&article_with_body(&id, "of a batch")));
                told.commit(&client, batch.collect()).await;
            }
            2 => {
                let made = told
                    .commit(&client, vec![create(&article_with_body(&id, "made"))])
                    .await;
                let mut edited = made[0].clone();
                as_article(&mut edited).body = format!("edited in {round}");
                let edited = update(&edited, &[]);
                let edited = told.commit(&client, vec![edited]).await;
                let public = told.commit(&client, vec![publish(&edited[0])]).await;
                told.commit(&client, vec![retract(&public[0], "withdrawn", false)])
                    .await;
            }
            _ => {
                let good = article_with_body(&format!("{id}-refused"), "with a bad neighbour");
                told.refused.lock().unwrap().insert(name(&good).to_owned());
                let writes = vec![create(&good), create(&article_with_body("NO-NAME", ""))];
                let status = told.send(&client, writes).await.unwrap_err();
                assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w1_w2_w4_kills_in_turn_lose_nothing_that_was_acknowledged_and_keep_nothing_refused() {
    let kills = std::env::var("DATELINE_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = rand::random();
    println!("seed {seed}");
    let (_keep, directory) = temp_dir();
    let data_dir = directory.join("data");
    let mut server = serve(&data_dir, "127.0.0.1:0").await;
    let address = server.address.clone();
    let told = Arc::new(CampaignAnswers::default());
    // A record that exists before all others and never changes.
    let first = Client::connect(&address).await.unwrap();
    let answer = first
        .commit(create_request(&[article_with_body("first", "")]))
        .await
        .unwrap();
    told.acknowledged.lock().unwrap().push(AckedChange {
        name: "articles/first".into(),
        revision: 1,
        desk_sequence: 1,
        batch: answer.sequence,
    });
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(write(number, address.clone(), told.clone(), seed)))
        .collect();
    for number in 0..kills {
        told.until(told.count() + ANSWERS).await;
        let before = told.count();
        if number % 2 == 0 {
            server.signal(Signal::SIGKILL);
            server.child.wait().await.unwrap();
            server = serve(&data_dir, &address).await;
        } else {
            kill(postmaster(&data_dir), Signal::SIGKILL).unwrap();
        }
        // Interrupted clients continue.
        told.until(before + WRITERS).await;
    }
    told.stop.store(true, Ordering::Release);
    for writer in writers {
        let ended = tokio::time::timeout(PROCESS_TIMEOUT, writer).await;
        ended.expect("every writer is answered").unwrap();
    }
    let desk = ReceivedChanges {
        changes: whole_feed(&address).await,
    };
    let head = i64::try_from(desk.changes.len()).unwrap();
    assert_dense(&desk, head);
    assert_whole_batches(&desk);
    assert_revisions_follow(&desk);
    told.compare(&desk, kills);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.end().await, Some(0));
}
