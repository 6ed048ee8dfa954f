//! The server's network limits: each limit is enforced, is reported and affects no other client; TLS admits the right
//! clients.

mod connection_age;
mod connections;
mod floods;
mod limits_doc;
pub mod processes;
mod slow_readers;
mod tls;
mod unread_responses;
mod wrong_protocol;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use dateline_client::Client;
use dateline_proto::v1::{GetRecordRequest, WatchResponse};
use dateline_server::transport::ConnectionLimits;
use tokio::task::JoinHandle;
use tonic::Streaming;

use crate::support::{
    gold::publish_gold,
    server::{TIMEOUT, TestServer, config, create_database, start_server_with},
};

/// Starts a server with the gold records and changed connection limits.
async fn server_with(change: impl FnOnce(&mut ConnectionLimits)) -> TestServer {
    let mut config = config(&create_database().await);
    change(&mut config.limits.connections);
    let server = start_server_with(config).await;
    publish_gold(&server).await;
    server
}

/// Reads a stream until `count` checkpoints have arrived.
async fn checkpoints(stream: &mut Streaming<WatchResponse>, count: usize) {
    let reading = async {
        let mut came = 0;
        while came < count {
            let response = stream.message().await.unwrap().expect("it goes on");
            came += usize::from(response.checkpoint.is_some());
        }
    };
    tokio::time::timeout(TIMEOUT, reading)
        .await
        .expect("a checkpoint");
}

fn nato() -> GetRecordRequest {
    GetRecordRequest {
        name: "actors/nato".to_owned(),
        ..GetRecordRequest::default()
    }
}

/// A well-behaved client, all of whose calls must be answered.
struct Bystander {
    done: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    calling: JoinHandle<()>,
}

impl Bystander {
    async fn start(address: &str) -> Self {
        let client = Client::connect(address).await.unwrap();
        let (done, answered) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (until, count) = (done.clone(), answered.clone());
        let calling = tokio::spawn(async move {
            let mut records = client.records.clone();
            while !until.load(Ordering::Relaxed) {
                let answer = records.get_record(nato()).await;
                answer.expect("the bystander is served");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            done,
            answered,
            calling,
        }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Stops it, and asserts that all of its calls were answered.
    async fn stop(self) {
        self.done.store(true, Ordering::Relaxed);
        self.calling.await.expect("the bystander is served");
        assert!(self.answered.load(Ordering::Relaxed) > 0);
    }
}
