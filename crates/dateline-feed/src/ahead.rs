//! The next page, read while one is encoded and sent, for whoever has taken one to its end: who takes none to its end
//! never holds two.

use dateline_store::Error;
use tokio_util::task::AbortOnDropHandle;

/// What is read ahead of a stream of pages.
#[derive(Debug)]
pub(super) struct ReadAhead<Page> {
    /// The client has come to a page's end.
    takes_pages: bool,
    reading: Option<AbortOnDropHandle<Result<Page, Error>>>,
}

impl<Page: Send + 'static> ReadAhead<Page> {
    pub(super) fn new() -> Self {
        Self {
            takes_pages: false,
            reading: None,
        }
    }

    /// A page is about to be sent, and `next` reads what follows it.
    pub(super) fn follow(
        &mut self,
        next: impl Future<Output = Result<Page, Error>> + Send + 'static,
    ) {
        if self.takes_pages {
            self.reading = Some(AbortOnDropHandle::new(tokio::spawn(next)));
        }
        self.takes_pages = true;
    }

    /// What was read. What could not be read is read when its turn comes, and fails then.
    pub(super) async fn take(&mut self) -> Option<Page> {
        self.reading.take()?.await.ok()?.ok()
    }

    /// It is not what follows.
    pub(super) fn forget(&mut self) {
        self.reading = None;
    }
}
