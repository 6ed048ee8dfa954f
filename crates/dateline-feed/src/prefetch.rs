//! Prefetch: reads the next page while one is encoded and sent, for streams that have read a page to its end. Other
//! streams never hold two pages.

use dateline_store::Error;
use tokio_util::task::AbortOnDropHandle;

/// Prefetch of one stream of pages.
#[derive(Debug)]
pub(super) struct Prefetch<Page> {
    /// True once the client has read a page to its end.
    takes_pages: bool,
    reading: Option<AbortOnDropHandle<Result<Page, Error>>>,
}

impl<Page: Send + 'static> Prefetch<Page> {
    pub(super) fn new() -> Self {
        Self {
            takes_pages: false,
            reading: None,
        }
    }

    /// Starts reading `next` while the present page is sent.
    pub(super) fn start(
        &mut self,
        next: impl Future<Output = Result<Page, Error>> + Send + 'static,
    ) {
        if self.takes_pages {
            self.reading = Some(AbortOnDropHandle::new(tokio::spawn(next)));
        }
        self.takes_pages = true;
    }

    /// Returns the prefetched page. After an error it returns `None`, and the caller's own read reports the error.
    pub(super) async fn next_page(&mut self) -> Option<Page> {
        self.reading.take()?.await.ok()?.ok()
    }

    /// Drops the prefetched page, which does not follow any more.
    pub(super) fn discard(&mut self) {
        self.reading = None;
    }
}
