//! Start positions of streams. A stream that cannot begin at its start is an error; a start is never clamped, skipped
//! or replaced (F6).

use std::{sync::Arc, time::Duration};

use dateline_record::{filter::Filter, sequence::Sequence};
use dateline_store::{FeedIdentity, FeedView, Mark};
use time::OffsetDateTime;

use super::{
    Error, Feed,
    cursor::{Cursor, SnapshotPosition, check},
};

/// Largest tolerated lead of a client's clock.
const MAX_CLOCK_SKEW: Duration = Duration::from_mins(1);

/// A client's request for a stream.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// View of the feed.
    pub view: FeedView,
    /// Filter of the changes.
    pub filter: Filter,
    /// Encoded filter, so that a snapshot is not resumed with another one.
    pub filter_bytes: Vec<u8>,
    /// Start of the stream.
    pub start: Start,
    /// Skips changes accepted before this time that are in the log when the stream begins.
    pub skip_before: Option<OffsetDateTime>,
    /// Adds the digest to checkpoints at the head.
    pub digest: bool,
}

/// Start of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After everything that is committed.
    Now,
    /// At the first change.
    Beginning,
    /// With a snapshot of the present state, then changes.
    Snapshot,
    /// At the first change that was accepted at this time or later.
    Since(OffsetDateTime),
    /// After a cursor.
    Cursor(String),
}

impl Feed {
    /// Returns the start position of a stream, and the identity of the feed to which it belongs.
    pub(super) async fn resolve(
        &self,
        options: &WatchOptions,
    ) -> Result<(Arc<FeedIdentity>, Cursor), Error> {
        let view = options.view;
        let mut identity = self.identity();
        let beginning = SnapshotPosition::begin(&options.filter_bytes);
        let following = |sequence| Cursor {
            view,
            sequence,
            check: None,
            snapshot: None,
        };
        let mut cursor = match &options.start {
            Start::Now => following(self.stored_head(view).await?),
            Start::Beginning => following(Sequence::ZERO),
            Start::Since(time) => following(self.before_all_since(view, *time).await?),
            Start::Snapshot => Cursor {
                view,
                sequence: self.stored_head(view).await?,
                check: None,
                snapshot: Some(beginning.clone()),
            },
            Start::Cursor(text) => {
                let read = match Cursor::from_text(text, &identity, view) {
                    // Another server may know newer histories of this feed.
                    Err(Error::ForeignCursor) => {
                        identity = self.refresh().await?;
                        Cursor::from_text(text, &identity, view)?
                    }
                    read => read?,
                };
                self.check_ahead(&read).await?;
                check_kept(identity.earliest(view), read.sequence)?;
                read
            }
        };
        if let Some(position) = &cursor.snapshot
            && position.filter != beginning.filter
        {
            return Err(Error::FilterChanged);
        }
        if let Some(time) = options.skip_before
            && cursor.snapshot.is_none()
        {
            let after = self.before(view, time).await?;
            if after > cursor.sequence {
                self.verify(&identity, &mut cursor).await?;
                cursor = following(after);
            }
        }
        check_kept(identity.earliest(view), cursor.sequence)?;
        self.verify(&identity, &mut cursor).await?;
        Ok((identity, cursor))
    }

    /// Compares the change at a position with the cursor's check, and adds the check to a position without one.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] if the log has another change there, or none.
    pub(super) async fn verify(
        &self,
        identity: &FeedIdentity,
        cursor: &mut Cursor,
    ) -> Result<(), Error> {
        let (view, sequence) = (cursor.view, cursor.sequence);
        let known = self.ring(view).fingerprint_at(sequence);
        let fingerprint = match known {
            None if sequence > Sequence::ZERO => {
                self.shared.store.fingerprint_at(view, sequence).await?
            }
            known => known,
        };
        let here = fingerprint.map(|fingerprint| {
            let mark = Mark {
                sequence,
                fingerprint,
            };
            check(identity, view, mark)
        });
        if cursor.check.is_some() && cursor.check != here {
            // A missing change may have been dropped since this process last read the identity.
            let earliest = self.refresh().await?.earliest(view);
            check_kept(earliest, sequence)?;
            return Err(Error::ForeignCursor);
        }
        cursor.check = here;
        Ok(())
    }

    /// Returns the position before the first change that was accepted at a time or later.
    async fn before(&self, view: FeedView, time: OffsetDateTime) -> Result<Sequence, Error> {
        if time > OffsetDateTime::now_utc() + MAX_CLOCK_SKEW {
            return Err(Error::TimeInFuture);
        }
        // The head is read first, so that no change accepted in between is skipped.
        let head = self.stored_head(view).await?;
        let first = self.shared.store.first_since(view, time).await?;
        Ok(first.map_or(head, Sequence::previous))
    }

    /// Returns the same position, if every change since then is kept. Once history was dropped, the first change that
    /// is left need not be the first after the time.
    async fn before_all_since(
        &self,
        view: FeedView,
        time: OffsetDateTime,
    ) -> Result<Sequence, Error> {
        let after = self.before(view, time).await?;
        let earliest = self.status().await?.earliest.in_view(view);
        if earliest > Sequence::FIRST && after < earliest {
            return Err(Error::CursorExpired { after, earliest });
        }
        Ok(after)
    }

    async fn check_ahead(&self, cursor: &Cursor) -> Result<(), Error> {
        if cursor.sequence > self.ring(cursor.view).head() {
            // Another server's commit may not have arrived here yet.
            let head = self.stored_head(cursor.view).await?;
            if cursor.sequence > head {
                return Err(Error::CursorInFuture {
                    cursor: cursor.sequence,
                    head,
                });
            }
        }
        Ok(())
    }
}

/// Checks that everything after a sequence is kept.
pub(super) fn check_kept(earliest: Sequence, after: Sequence) -> Result<(), Error> {
    if after.next() < earliest {
        return Err(Error::CursorExpired { after, earliest });
    }
    Ok(())
}
