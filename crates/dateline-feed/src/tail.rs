//! The tail, one per process: reads the log after its last sequence, encodes each change once and adds it to the rings.
//! It is woken by local commits, by notifications of other servers' commits, and by a slow timer in case both are lost.
//! Its output depends on the log alone.

use std::{sync::Arc, time::Duration};

use dateline_proto::v1::change::Type as ChangeType;
use dateline_store::{Error, LogEntry, Standing, Store, View, Wake};
use prost::Message;
use tokio::sync::Notify;

use super::{Feed, batch::Batch, in_time};

/// Longest time that a lost wake-up goes unnoticed.
const LOOK_ANYWAY: Duration = Duration::from_secs(2);
/// Pauses before the database is queried again after a failure: the pause doubles from the shortest to the longest
/// while nothing is read.
const MIN_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(3);
/// One in this many failures is logged while nothing is read.
const LOGGED_FAILURES: u32 = 20;

/// Follows the log. It never skips a change: one that cannot be read stops all streams there, and the health check
/// reports it.
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

/// Listens before it reads, so that no commit falls between the two. First checks that the database has not moved; that
/// it still has the changes read from it is checked on each read.
async fn follow(feed: &Feed, store: &Store, committed: &Notify) -> Result<(), Error> {
    // Boxed: connecting needs much memory, for a short time.
    let mut wake: Wake = in_time(Box::pin(store.listen())).await?;
    in_time(store.settle(0)).await?;
    loop {
        while !in_time(catch_up(feed, store)).await? {}
        wake.wait(committed, LOOK_ANYWAY).await?;
    }
}

/// Reads a page, or sets the digests of the feeds at the head; returns true if the head was reached.
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
        // The same database with fewer changes or with other ones: a backup was restored.
        part(feed, store, known.epoch, last).await?;
        return Ok(false);
    }
    report_heads(&standing);
    // Before the changes: who has them all is at a place whose digest is known.
    tell(feed, &standing);
    if last + 1 < standing.earliest.0 {
        // History was dropped that was not read here: streams that need it get an error from the log.
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

/// Begins a new history that shares what the log still has of the changes read here.
async fn part(feed: &Feed, store: &Store, epoch: u64, last: u64) -> Result<(), Error> {
    let seen = feed.ring(View::Desk).marks();
    if seen.is_empty() {
        // Only the sequence can be compared.
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

/// Adds a page of the desk log to the rings.
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
