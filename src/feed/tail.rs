//! One tail per process: reads the log after its last sequence, builds each change's bytes once and puts them
//! into the rings. Local commits wake it at once, those of other servers through a notification, and a slow
//! timer in case both were lost. What it delivers depends on the log alone.

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Feed, batch::Batch};
use crate::{
    proto::v1::change::Type as ChangeType,
    store::{Error, Store, View, Wake},
};

/// How long a lost wake-up can go unnoticed.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);
/// Pause before the database is asked again after it failed.
const PAUSE: Duration = Duration::from_millis(200);

/// Follows the log until `stop`.
pub async fn run(feed: Feed, store: Store, committed: Arc<Notify>, stop: CancellationToken) {
    let mut last = feed.ring(View::Desk).head();
    stop.run_until_cancelled(async {
        loop {
            let Err(error) = follow(&feed, &store, &committed, &mut last).await else {
                continue;
            };
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the tail lost the database; it goes on at {last}"
            );
            metrics::counter!("dateline_tail_reconnects").increment(1);
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
}

/// Listens first and reads then, so that no commit falls between the two.
async fn follow(
    feed: &Feed,
    store: &Store,
    committed: &Notify,
    last: &mut u64,
) -> Result<(), Error> {
    let mut wake: Wake = store.listen().await?;
    loop {
        catch_up(feed, store, last).await?;
        wake.wait(committed, LOOK_ANYWAY).await?;
    }
}

/// Reads the log to its end.
async fn catch_up(feed: &Feed, store: &Store, last: &mut u64) -> Result<(), Error> {
    loop {
        let entries = store.tail_after(*last).await?;
        let Some(newest) = entries.last() else {
            return Ok(());
        };
        let newest = newest.record.desk_sequence;
        let erases = entries
            .iter()
            .any(|entry| entry.change_type == ChangeType::Purged);
        for view in [View::Desk, View::Published] {
            if erases {
                feed.ring(view).forget();
            }
            feed.ring(view).push(Batch::cut(&entries, view));
        }
        *last = newest;
    }
}
