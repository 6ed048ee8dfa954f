//! Pages of the log for streams that lag, read and encoded once for all streams near each other.
//!
//! A page is found by streams that would read the same: of the same view, epoch and number of erasures, with or without
//! facets. Therefore a page that was read before an erasure or in another history is never found after it (W11, F6).

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use dateline_record::sequence::Sequence;
use dateline_store::{FeedView, LogPage};
use tokio::sync::OnceCell;

use super::batch::EncodedBatch;

/// Most bytes of pages that are kept, besides those that streams hold.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most pages that are kept, complete or not.
const MAX_PAGES: usize = 64;

/// A page of the log for one view.
#[derive(Debug)]
pub(super) struct EncodedPage {
    /// Whole batches, ascending; none at the head.
    pub batches: Vec<Arc<EncodedBatch>>,
    /// The epoch that was read, and the oldest sequence kept at that time; `None` at the head.
    pub read: Option<(u64, Sequence)>,
}

impl EncodedPage {
    /// Encodes a page.
    pub(super) fn from_log(page: &LogPage, view: FeedView) -> Self {
        let batches = EncodedBatch::from_log(&page.entries, view).into_iter();
        Self {
            batches: batches.map(Arc::new).collect(),
            read: page.read,
        }
    }

    /// Returns the batches with changes after a sequence.
    pub(super) fn batches_after(&self, after: Sequence) -> Vec<Arc<EncodedBatch>> {
        let start = self.batches.partition_point(|batch| batch.last <= after);
        self.batches[start..].to_vec()
    }

    /// Returns the last sequence; `None` at the head.
    pub(super) fn last(&self) -> Option<Sequence> {
        self.batches.last().map(|batch| batch.last)
    }

    fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.bytes()).sum()
    }
}

/// The streams that may use a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageScope {
    pub view: FeedView,
    /// True if the changes have facets, for filters.
    pub facets: bool,
    /// The epoch that the stream knows.
    pub epoch: u64,
    /// The number of erasures that the stream knows.
    pub erasures: u64,
}

/// A page that is read now, or that was read.
#[derive(Debug)]
struct Slot {
    scope: PageScope,
    after: Sequence,
    page: OnceCell<Arc<EncodedPage>>,
}

impl Slot {
    /// True if a stream at `after` finds its next changes here.
    fn continues(&self, scope: PageScope, after: Sequence) -> bool {
        let is_inside = || {
            let last = self.page.get().and_then(|page| page.last());
            self.after < after && last.is_some_and(|last| after < last)
        };
        self.scope == scope && (self.after == after || is_inside())
    }

    fn bytes(&self) -> usize {
        self.page.get().map_or(0, |page| page.bytes())
    }
}

/// The pages that were read last.
#[derive(Debug, Default)]
pub(super) struct PageCache {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order in which their reads began.
    slots: VecDeque<Arc<Slot>>,
    /// Number of streams that lag.
    streams: usize,
}

impl PageCache {
    /// Returns the page with the changes after a sequence. It is read by one of the streams that ask for it; if that one
    /// goes away or fails, by the next.
    pub(super) async fn page<Error>(
        &self,
        scope: PageScope,
        after: Sequence,
        read: impl Future<Output = Result<EncodedPage, Error>>,
    ) -> Result<Arc<EncodedPage>, Error> {
        let slot = self.slot(scope, after);
        if let Some(page) = slot.page.get() {
            return Ok(page.clone());
        }
        let encoded = slot
            .page
            .get_or_try_init(async || Ok(Arc::new(read.await?)));
        let page = encoded.await?.clone();
        self.trim(&slot, &page);
        Ok(page)
    }

    /// Counts a stream that lags, until the guard is dropped. Pages are kept while there are several.
    pub(super) fn enter(self: &Arc<Self>) -> LaggingStream {
        self.locked().streams += 1;
        LaggingStream {
            cache: self.clone(),
        }
    }

    /// Drops all pages (W11). Streams that wait for one get it all the same, and drop it by their own count of erasures.
    pub(super) fn clear(&self) {
        self.locked().slots.clear();
    }

    fn slot(&self, scope: PageScope, after: Sequence) -> Arc<Slot> {
        let mut state = self.locked();
        let found = state.slots.iter().find(|slot| slot.continues(scope, after));
        if let Some(slot) = found {
            return slot.clone();
        }
        let slot = Arc::new(Slot {
            scope,
            after,
            page: OnceCell::new(),
        });
        if state.slots.len() >= MAX_PAGES {
            state.slots.pop_front();
        }
        state.slots.push_back(slot.clone());
        slot
    }

    /// Drops the oldest pages beyond the bound, and an empty page, which says nothing about the next read.
    fn trim(&self, slot: &Arc<Slot>, page: &EncodedPage) {
        let mut state = self.locked();
        if page.last().is_none() {
            state.slots.retain(|other| !Arc::ptr_eq(other, slot));
        }
        let most = if state.streams > 1 { MAX_BYTES } else { 0 };
        let mut bytes: usize = state.slots.iter().map(|slot| slot.bytes()).sum();
        while bytes > most
            && let Some(oldest) = state.slots.pop_front()
        {
            bytes -= oldest.bytes();
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // The lock is only held for plain assignments, so a poisoned lock still guards consistent data.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn kept(&self) -> (usize, usize) {
        let state = self.locked();
        let bytes = state.slots.iter().map(|slot| slot.bytes()).sum();
        (state.slots.len(), bytes)
    }
}

/// A stream that reads the log. When the last one is dropped, so are the pages.
#[derive(Debug)]
pub(super) struct LaggingStream {
    cache: Arc<PageCache>,
}

impl Drop for LaggingStream {
    fn drop(&mut self) {
        let mut state = self.cache.locked();
        state.streams -= 1;
        if state.streams == 0 {
            state.slots.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU64, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    const SCOPE: PageScope = PageScope {
        view: FeedView::Desk,
        facets: false,
        epoch: 1,
        erasures: 0,
    };
    const BATCH_BYTES: usize = 300_000;

    /// A log of batches that end at 10, 20, 30 …, three to a page; counts the reads.
    #[derive(Default)]
    struct Log {
        reads: AtomicU64,
    }

    impl Log {
        fn read(&self, after: u64) -> EncodedPage {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let batch = |number| {
                let last = Sequence::new((after / 10 + number) * 10);
                Arc::new(EncodedBatch::of_size(last, BATCH_BYTES))
            };
            EncodedPage {
                batches: (1..=3).map(batch).collect(),
                read: Some((1, Sequence::ZERO)),
            }
        }

        /// Returns the ends of the batches after a sequence, and the number of reads so far.
        async fn page(&self, cache: &PageCache, scope: PageScope, after: u64) -> (Vec<u64>, u64) {
            let at = Sequence::new(after);
            let read = async { Ok::<_, Infallible>(self.read(after)) };
            let Ok(page) = cache.page(scope, at, read).await;
            let ends = page.batches_after(at);
            let ends = ends.iter().map(|batch| batch.last.get()).collect();
            (ends, self.reads.load(Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn f9_streams_near_each_other_share_one_read_of_the_log() {
        let (cache, log) = (Arc::new(PageCache::default()), Log::default());
        let _streams = [cache.enter(), cache.enter()];
        let page = || log.page(&cache, SCOPE, 0);
        let (one, two, three) = tokio::join!(page(), page(), page());
        for (ends, _) in [one, two, three] {
            assert_eq!(ends, [10, 20, 30]);
        }
        // Inside the page, at the end of a batch and within one; then behind it.
        assert_eq!(log.page(&cache, SCOPE, 10).await, (vec![20, 30], 1));
        assert_eq!(log.page(&cache, SCOPE, 25).await, (vec![30], 1));
        assert_eq!(log.page(&cache, SCOPE, 30).await, (vec![40, 50, 60], 2));
    }

    #[tokio::test]
    async fn f6_w11_no_page_of_before_an_erasure_or_of_another_view_or_history_is_found() {
        let (cache, log) = (Arc::new(PageCache::default()), Log::default());
        let _streams = [cache.enter(), cache.enter()];
        assert_eq!(log.page(&cache, SCOPE, 0).await.1, 1);
        let others = [
            PageScope {
                erasures: 1,
                ..SCOPE
            },
            PageScope { epoch: 2, ..SCOPE },
            PageScope {
                facets: true,
                ..SCOPE
            },
            PageScope {
                view: FeedView::Wire,
                ..SCOPE
            },
        ];
        for (reads, other) in (2..).zip(others) {
            assert_eq!(log.page(&cache, other, 0).await.1, reads, "{other:?}");
        }
        cache.clear();
        assert_eq!(cache.kept(), (0, 0), "erased content stays in memory");
    }

    #[tokio::test]
    async fn f9_the_pages_of_many_streams_are_bounded_and_a_single_one_keeps_none() {
        let (cache, log) = (Arc::new(PageCache::default()), Log::default());
        let one = cache.enter();
        log.page(&cache, SCOPE, 0).await;
        assert_eq!(cache.kept(), (0, 0));
        let other = cache.enter();
        for after in 0..100 {
            log.page(&cache, SCOPE, after * 30).await;
            assert!(cache.kept().1 <= MAX_BYTES);
        }
        assert!(cache.kept().1 > MAX_BYTES - 3 * BATCH_BYTES - 10_000);
        drop((one, other));
        assert_eq!(cache.kept(), (0, 0));
    }

    #[tokio::test]
    async fn f9_the_reader_of_a_page_may_go_away() {
        let (cache, log) = (Arc::new(PageCache::default()), Log::default());
        let _streams = [cache.enter(), cache.enter()];
        let begun = Arc::new(Notify::new());
        let gone = tokio::spawn({
            let (cache, begun) = (cache.clone(), begun.clone());
            async move {
                let never = async {
                    begun.notify_one();
                    std::future::pending::<Result<EncodedPage, Infallible>>().await
                };
                drop(cache.page(SCOPE, Sequence::ZERO, never).await);
            }
        });
        begun.notified().await;
        let next = log.page(&cache, SCOPE, 0);
        gone.abort();
        assert_eq!(next.await, (vec![10, 20, 30], 1));
    }
}
