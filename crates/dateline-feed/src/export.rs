//! Exports: the state at one sequence, page by page (E1, E3). Unlike a snapshot, an export is of any sequence that is
//! kept, may be split into parts or be a delta since another sequence, and is not followed by changes.

use std::sync::Arc;

use bytes::Bytes;
use dateline_record::sequence::Sequence;
use dateline_store::{FeedIdentity, FeedStatus, SnapshotPage, SnapshotQuery};
use tokio_util::sync::CancellationToken;

use super::{
    Error, Feed,
    cursor::{Check, Cursor, SnapshotPosition},
    packing::{MessageEnd, pack_export},
    prefetch::Prefetch,
    start::check_kept,
};

/// A client's request for an export.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// Records to export; its `at` counts only if `sequence` is `None`.
    pub extract: SnapshotQuery,
    /// Sequence of the export; `None` for the head.
    pub sequence: Option<Sequence>,
    /// Encoded request, so that a cursor is not resumed with another one.
    pub request_bytes: Vec<u8>,
    /// Cursor to resume from.
    pub cursor: Option<String>,
}

/// An item of an export.
#[derive(Debug)]
pub enum ExportItem {
    /// Fields of `ExportResponse`, and the cursor after them.
    Part(Vec<Bytes>, String),
    /// Everything has been sent.
    End,
}

/// An export in progress.
#[derive(Debug)]
pub struct Export {
    feed: Feed,
    extract: SnapshotQuery,
    identity: Arc<FeedIdentity>,
    position: SnapshotPosition,
    check: Option<Check>,
    /// Encoded parts, each with its last name; in reverse order.
    ready: Vec<(Vec<Bytes>, String)>,
    /// The last name that was sent.
    sent: String,
    /// Count of erasures when the parts were read.
    erasures: u64,
    /// Prefetch of the page after the position.
    prefetch: Prefetch<SnapshotPage>,
    is_done: bool,
    standing: FeedStatus,
    stop: CancellationToken,
}

impl Feed {
    /// Begins or resumes an export.
    ///
    /// # Errors
    /// If that state cannot be served (F6).
    pub async fn export(
        &self,
        options: ExportOptions,
        stop: CancellationToken,
    ) -> Result<Export, Error> {
        let mut extract = options.extract;
        let view = extract.view;
        let standing = self.status().await?;
        let mut identity = self.identity();
        if identity.epoch != standing.epoch || identity.id != standing.feed {
            identity = self.refresh().await?;
        }
        let beginning = SnapshotPosition::begin(&options.request_bytes);
        let head = standing.heads.in_view(view);
        let mut cursor = match &options.cursor {
            None => Cursor {
                view,
                sequence: options.sequence.unwrap_or(head),
                check: None,
                snapshot: Some(beginning),
            },
            Some(text) => {
                let cursor = Cursor::from_text(text, &identity, view)?;
                let position = cursor.snapshot.as_ref().ok_or(Error::InvalidCursor)?;
                let is_as_asked = options.sequence.is_none_or(|at| at == cursor.sequence);
                if position.filter != beginning.filter || !is_as_asked {
                    return Err(Error::FilterChanged);
                }
                cursor
            }
        };
        extract.at = cursor.sequence;
        for asked in [Some(extract.at), extract.since].into_iter().flatten() {
            if asked > head {
                return Err(Error::CursorInFuture {
                    cursor: asked,
                    head,
                });
            }
            check_kept(standing.earliest.in_view(view), asked)?;
        }
        self.verify(&identity, &mut cursor).await?;
        let position = cursor
            .snapshot
            .unwrap_or_else(|| SnapshotPosition::begin(&[]));
        Ok(Export {
            feed: self.clone(),
            sent: position.after.clone(),
            erasures: self.erasures(),
            extract,
            identity,
            position,
            check: cursor.check,
            ready: Vec::new(),
            prefetch: Prefetch::new(),
            is_done: false,
            standing,
            stop,
        })
    }
}

impl Export {
    /// Returns the sequence of the export.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        self.extract.at
    }

    /// True if the export includes the references of its records.
    #[must_use]
    pub fn includes_references(&self) -> bool {
        self.extract.references.is_some()
    }

    /// Returns the status of the feed when the export began or was resumed.
    #[must_use]
    pub fn feed_status(&self) -> &FeedStatus {
        &self.standing
    }

    /// Returns the cursor from which the export can be resumed.
    #[must_use]
    pub fn cursor(&self) -> String {
        self.cursor_after(self.position.after.clone())
    }

    fn cursor_after(&self, after: String) -> String {
        Cursor {
            view: self.extract.view,
            sequence: self.extract.at,
            check: self.check,
            snapshot: Some(SnapshotPosition {
                after,
                ..self.position.clone()
            }),
        }
        .to_text(&self.identity)
    }

    /// Returns the next item; `None` when the server stops: the cursor can be resumed on another one.
    ///
    /// # Errors
    /// If the store cannot answer, or history that the export needs was dropped (F6).
    pub async fn next(&mut self) -> Result<Option<ExportItem>, Error> {
        if self.stop.is_cancelled() {
            return Ok(None);
        }
        self.check_erasures();
        if let Some(part) = self.ready.pop() {
            return Ok(Some(self.part(part)));
        }
        if self.is_done {
            return Ok(Some(ExportItem::End));
        }
        let page = match self.prefetch.next_page().await {
            Some(page) => page,
            None => self.page().await?,
        };
        if page.epoch != self.identity.epoch {
            self.feed.refresh().await?;
            let (view, at) = (self.extract.view, self.extract.at);
            self.identity = self.feed.history_of(&self.identity, view, at)?;
        }
        for asked in [Some(self.extract.at), self.extract.since] {
            asked.map_or(Ok(()), |asked| check_kept(page.earliest, asked))?;
        }
        self.sent.clone_from(&self.position.after);
        self.is_done = page.after.is_none();
        if let Some(after) = page.after {
            self.position.after = after;
            self.prefetch.start(self.page());
        }
        let messages = pack_export(&page.entries, &page.resolved, self.extract.view);
        let parts = messages.into_iter().map(|message| match message.end {
            MessageEnd::Records { last } => (message.pieces, last),
            MessageEnd::Changes { .. } => (message.pieces, String::new()),
        });
        self.ready = parts.rev().collect();
        Ok(Some(match self.ready.pop() {
            Some(part) => self.part(part),
            None if self.is_done => ExportItem::End,
            // A page without records advances as well, so its cursor is sent.
            None => ExportItem::Part(Vec::new(), self.cursor()),
        }))
    }

    fn part(&mut self, (pieces, last): (Vec<Bytes>, String)) -> ExportItem {
        self.sent.clone_from(&last);
        ExportItem::Part(pieces, self.cursor_after(last))
    }

    /// Reads unsent parts again if something was erased since: they may hold it (W11).
    fn check_erasures(&mut self) {
        let erasures = self.feed.erasures();
        if erasures == self.erasures {
            return;
        }
        self.erasures = erasures;
        self.prefetch.discard();
        if !self.ready.is_empty() {
            self.ready.clear();
            self.position.after.clone_from(&self.sent);
            self.is_done = false;
        }
    }

    fn page(
        &self,
    ) -> impl Future<Output = Result<SnapshotPage, dateline_store::Error>> + Send + use<> {
        let (feed, extract) = (self.feed.clone(), self.extract.clone());
        let after = self.position.after.clone();
        async move { feed.snapshot_page(&extract, &after).await }
    }
}
