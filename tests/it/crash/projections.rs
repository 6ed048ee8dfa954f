//! Kill -9 of two servers on one database in turn, under writers, while projections follow the log or are made again:
//! the rows are those of a projection from the beginning. `docs/campaigns.md` describes the long form.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nix::sys::signal::Signal;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, Executor, PgConnection};

use super::campaign::{CampaignAnswers, write};
use crate::support::{
    process::{PROCESS_TIMEOUT, Process, free_address, serve_on},
    projections::assert_equal_to_rebuilt,
    server::create_database,
};

/// Kills in the form that CI runs.
const KILLS: usize = 4;
/// Answers between two kills.
const ANSWERS: usize = 60;
const WRITERS_PER_SERVER: usize = 4;

async fn start(url: &str, address: &str) -> Process {
    serve_on(url, &["--listen", address]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_those_of_a_projection_from_the_beginning_after_kills_in_the_middle() {
    let kills = std::env::var("DATELINE_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let url = create_database().await;
    let addresses = [free_address(), free_address()];
    let mut servers = [
        start(&url, &addresses[0]).await,
        start(&url, &addresses[1]).await,
    ];
    let told = Arc::new(CampaignAnswers::default());
    let writers: Vec<_> = (0..2 * WRITERS_PER_SERVER)
        .map(|number| {
            let address = addresses[number % 2].clone();
            tokio::spawn(write(number, address, told.clone(), seed))
        })
        .collect();
    let mut sql = PgConnection::connect(&url).await.unwrap();
    for number in 0..kills {
        told.until(told.count() + ANSWERS).await;
        // Every other kill meets a projection that begins again: short steps, one behind the other.
        if number % 4 < 2 {
            sql.execute("UPDATE projections SET version = 0, worker_until = '-infinity'")
                .await
                .unwrap();
        }
        let pause = random.random_range(0..800);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let server = &mut servers[number % 2];
        server.signal(Signal::SIGKILL);
        server.child.wait().await.unwrap();
        *server = start(&url, &addresses[number % 2]).await;
    }
    told.stop.store(true, Ordering::Release);
    for writer in writers {
        let ended = tokio::time::timeout(PROCESS_TIMEOUT, writer).await;
        ended.expect("every writer is answered").unwrap();
    }
    let rows = assert_equal_to_rebuilt(&url).await;
    println!("{kills} kills, {} changes, {rows} documents", told.count());
}
