//! One tail per process: reads the log after its last sequence, builds each change's bytes once and puts them
//! into the rings. Local commits wake it at once, those of other servers through a notification, and a slow
//! timer in case both were lost. What it delivers depends on the log alone.

use std::{sync::Arc, time::Duration};

use dateline_proto::v1::change::Type as ChangeType;
use dateline_store::{Error, LogEntry, Standing, Store, View, Wake};
use prost::Message;
use tokio::sync::Notify;

use super::{Feed, batch::Batch, in_time};

/// How long a lost wake-up can go unnoticed.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);
/// Pause before the database is asked again after it failed; it doubles up to the longest while nothing is read.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// Failures without anything read in between, of which one is logged.
const LOGGED_FAILURES: u32 = 20;

/// Follows the log. It never skips a change: one that cannot be read stops all streams there, and health tells of it.
pub async fn run(feed: Feed, store: Store, committed: Arc<Notify>) {
    let (mut pause, mut failures, mut place) = (MIN_PAUSE, 0_u32, None);
    loop {
        let Err(error) = follow(&feed, &store, &committed).await else {
            continue;
        };
        let last = feed.ring(View::Desk).head();
        if place.replace(last) != Some(last) {
            (pause, failures) = (MIN_PAUSE, 0);
        }
        if failures.is_multiple_of(LOGGED_FAILURES) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                failures,
                "the tail cannot read on; it goes on at {last}"
            );
        }
        failures = failures.wrapping_add(1);
        metrics::counter!("dateline_tail_reconnects_total").increment(1);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Listens first and reads then, so that no commit falls between the two. Before that: whether the database is
/// still where it was. Whether it has what was seen of it is looked at each time.
async fn follow(feed: &Feed, store: &Store, committed: &Notify) -> Result<(), Error> {
    // Boxed: connecting needs much room, for a moment.
    let mut wake: Wake = in_time(Box::pin(store.listen())).await?;
    in_time(store.settle(0)).await?;
    loop {
        while !in_time(catch_up(feed, store)).await? {}
        wake.wait(committed, LOOK_ANYWAY).await?;
    }
}

/// Reads a page, or tells what the feeds show at the head; answers whether that was reached.
async fn catch_up(feed: &Feed, store: &Store) -> Result<bool, Error> {
    let seen = feed.ring(View::Desk).newest().unwrap_or_default();
    let (standing, found) = store.standing_after(seen.sequence).await?;
    let known = feed.identity();
    let (last, head) = (feed.ring(View::Desk).head(), standing.heads.0);
    if (standing.feed, standing.epoch, standing.earliest) != (known.id, known.epoch, known.earliest)
    {
        feed.refresh().await?;
        return Ok(false);
    }
    let is_kept = seen.sequence >= standing.earliest.0;
    if head < last || (is_kept && found != Some(seen.fingerprint)) {
        // The same home, and less than there was, or something else: a backup was put there.
        part(feed, store, known.epoch, last).await?;
        return Ok(false);
    }
    report_heads(&standing);
    // Before the changes: who has them all is at a place whose digest is known.
    tell(feed, &standing);
    if last + 1 < standing.earliest.0 {
        // History was dropped that was not read here yet: who needs it is told when reading the log.
        feed.ring(View::Desk).restart(standing.heads.0);
        feed.ring(View::Published).restart(standing.heads.1);
    } else if last < head {
        let page = store.tail_after(last, head).await?;
        if !feed.extend(last, &page) {
            feed.refresh().await?;
            return Ok(false);
        }
    }
    let is_there = feed.ring(View::Desk).head() == head;
    if is_there {
        tell(feed, &standing);
    }
    Ok(is_there)
}

/// Begins a history that shares with what was seen here what the log still has of it.
async fn part(feed: &Feed, store: &Store, epoch: u64, last: u64) -> Result<(), Error> {
    let seen = feed.ring(View::Desk).marks();
    if seen.is_empty() {
        // Nothing to compare with but the number.
        store.settle(last).await?;
        return Ok(());
    }
    let shared = store.last_shared(&seen).await?.unwrap_or(0);
    tracing::warn!(
        "the log is not the one that was seen up to {last}: it is the same up to {shared}"
    );
    store.part(epoch, shared).await?;
    Ok(())
}

fn report_heads(standing: &Standing) {
    let heads = [("desk", standing.heads.0), ("wire", standing.heads.1)];
    for (feed, head) in heads {
        metrics::gauge!("dateline_head_sequence", "feed" => feed).set(head as f64);
    }
}

fn tell(feed: &Feed, standing: &Standing) {
    let digests = [
        (View::Desk, standing.heads.0, &standing.desk),
        (View::Published, standing.heads.1, &standing.wire),
    ];
    for (view, head, tallies) in digests {
        if feed.ring(view).digest(head).is_none() {
            let digest = tallies.to_digest().encode_to_vec();
            feed.ring(view).tell_digest(head, digest.into());
        }
    }
}

/// Puts a page of the desk's log into the rings.
pub(super) fn push(feed: &Feed, entries: &[LogEntry]) {
    let erases = entries
        .iter()
        .any(|entry| entry.change_type == ChangeType::Purged);
    if erases {
        feed.forget();
    }
    for view in [View::Published, View::Desk] {
        feed.ring(view).push(Batch::cut(entries, view));
    }
}
