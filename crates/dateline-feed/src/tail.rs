//! The tail, one per process: reads the log after its last sequence, encodes each change once and adds it to the rings.
//! It is woken by local commits, by notifications of other servers' commits, and by a slow timer in case both are lost.
//! Its output depends on the log alone.

use std::{sync::Arc, time::Duration};

use dateline_proto::v1::change::Type as ChangeType;
use dateline_record::sequence::Sequence;
use dateline_store::{CommitListener, Error, FeedStatus, FeedView, LogEntry, Store};
use prost::Message;
use tokio::sync::Notify;

use super::{Feed, batch::EncodedBatch, with_timeout};

/// Longest time that a lost wake-up goes unnoticed.
const FALLBACK_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Pauses before the database is queried again after a failure: the pause doubles from the shortest to the longest
/// while nothing is read.
const MIN_RETRY_BACKOFF: Duration = Duration::from_millis(200);
const MAX_RETRY_BACKOFF: Duration = Duration::from_secs(3);
/// One in this many failures is logged while nothing is read.
const LOGGED_FAILURES: u32 = 20;

/// Follows the log. It never skips a change: one that cannot be read stops all streams there, and the health check
/// reports it.
pub async fn run(feed: Feed, store: Store, committed: Arc<Notify>) {
    let (mut pause, mut failures, mut position) = (MIN_RETRY_BACKOFF, 0_u32, None);
    loop {
        let Err(error) = follow(&feed, &store, &committed).await else {
            continue;
        };
        let last = feed.ring(FeedView::Desk).head();
        if position.replace(last) != Some(last) {
            (pause, failures) = (MIN_RETRY_BACKOFF, 0);
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
        pause = (pause * 2).min(MAX_RETRY_BACKOFF);
    }
}

/// Listens before it reads, so that no commit falls between the two. First checks that the database has not moved; that
/// it still has the changes read from it is checked on each read.
async fn follow(feed: &Feed, store: &Store, committed: &Notify) -> Result<(), Error> {
    // Boxed: connecting needs much memory, for a short time.
    let mut listener: CommitListener = with_timeout(Box::pin(store.listen())).await?;
    // The connection may have been lost because the database was replaced by a backup.
    feed.records().forget_version();
    with_timeout(store.ensure_epoch(Sequence::ZERO)).await?;
    loop {
        while !with_timeout(catch_up(feed, store)).await? {}
        listener.wait(committed, FALLBACK_POLL_INTERVAL).await?;
    }
}

/// Reads a page, or sets the digests of the feeds at the head; returns true if the head was reached.
async fn catch_up(feed: &Feed, store: &Store) -> Result<bool, Error> {
    let seen = feed.ring(FeedView::Desk).newest().unwrap_or_default();
    let (standing, found) = store.feed_status_after(seen.sequence).await?;
    let known = feed.identity();
    let (last, head) = (feed.ring(FeedView::Desk).head(), standing.heads.desk);
    if (standing.feed, standing.epoch, standing.earliest) != (known.id, known.epoch, known.earliest)
    {
        feed.refresh().await?;
        return Ok(false);
    }
    let is_kept = seen.sequence >= standing.earliest.desk;
    if head < last || (is_kept && found != Some(seen.fingerprint)) {
        // The same database with fewer changes or with other ones: a backup was restored.
        begin_epoch(feed, store, known.epoch, last).await?;
        return Ok(false);
    }
    report_heads(&standing);
    // Before the changes: who has them all is at a position whose digest is known.
    set_digests(feed, &standing);
    if last.next() < standing.earliest.desk {
        // History was dropped that was not read here: streams that need it get an error from the log.
        feed.ring(FeedView::Desk).restart(standing.heads.desk);
        feed.ring(FeedView::Wire).restart(standing.heads.wire);
        feed.records().clear();
    } else if last < head {
        let page = store.tail_after(last, head).await?;
        if !feed.extend(last, &page) {
            feed.refresh().await?;
            return Ok(false);
        }
    }
    let is_there = feed.ring(FeedView::Desk).head() == head;
    if is_there {
        set_digests(feed, &standing);
        feed.records().set_version(standing.version, is_kept);
    }
    Ok(is_there)
}

/// Begins a new history that shares what the log still has of the changes read here.
async fn begin_epoch(feed: &Feed, store: &Store, epoch: u64, last: Sequence) -> Result<(), Error> {
    let seen = feed.ring(FeedView::Desk).marks();
    if seen.is_empty() {
        // Only the sequence can be compared.
        store.ensure_epoch(last).await?;
        return Ok(());
    }
    let shared = store.last_shared(&seen).await?.unwrap_or_default();
    tracing::warn!(
        "the log is not the one that was seen up to {last}: it is the same up to {shared}"
    );
    store.begin_epoch(epoch, shared).await?;
    Ok(())
}

fn report_heads(standing: &FeedStatus) {
    let heads = [("desk", standing.heads.desk), ("wire", standing.heads.wire)];
    for (feed, head) in heads {
        metrics::gauge!("dateline_head_sequence", "feed" => feed).set(head.get() as f64);
    }
}

fn set_digests(feed: &Feed, standing: &FeedStatus) {
    let digests = [
        (FeedView::Desk, standing.heads.desk, &standing.desk),
        (FeedView::Wire, standing.heads.wire, &standing.wire),
    ];
    for (view, head, tallies) in digests {
        // Also where one is known: `correct_tallies()` may have replaced it.
        let digest = tallies.to_digest().encode_to_vec();
        feed.ring(view).set_digest(head, digest.into());
    }
}

/// Adds a page of the desk log to the rings, and removes from the cache what it changes.
pub(super) fn push_batches(feed: &Feed, entries: &[LogEntry]) {
    let erases = entries
        .iter()
        .any(|entry| entry.change_type == ChangeType::Purged);
    if erases {
        feed.drop_erased();
    }
    let names = entries.iter().map(|entry| entry.record.name.as_str());
    feed.records().remove(names);
    for view in [FeedView::Wire, FeedView::Desk] {
        feed.ring(view).push(EncodedBatch::from_log(entries, view));
    }
}
