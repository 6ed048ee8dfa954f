//! Where a stream begins. What cannot begin where it was asked to is an error; nothing is clamped, skipped or
//! begun somewhere else (F6).

use std::{sync::Arc, time::Duration};

use dateline_record::filter::Filter;
use dateline_store::{FeedIdentity, Mark, View, of_view};
use time::OffsetDateTime;

use super::{
    Error, Feed,
    cursor::{Cursor, InSnapshot, check},
};

/// How far the clock of a client may be ahead.
const CLOCKS_APART: Duration = Duration::from_mins(1);

/// What a client asks of a stream.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which feed.
    pub view: View,
    /// Which changes.
    pub filter: Filter,
    /// What the filter was made of, so that a snapshot is not gone on with under another one.
    pub filter_bytes: Vec<u8>,
    /// Where it begins.
    pub start: Start,
    /// Changes that were accepted before this are not wanted, as far as they have happened already.
    pub spared_before: Option<OffsetDateTime>,
    /// Checkpoints at the head carry the digest.
    pub digest: bool,
}

/// Where a stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After everything that is committed.
    Now,
    /// With the first change.
    Beginning,
    /// With what there is now, then what changes.
    Snapshot,
    /// With the first change that was accepted then or later.
    Since(OffsetDateTime),
    /// After a cursor.
    Cursor(String),
}

impl Feed {
    /// The place where a stream begins, in the history that this process knows.
    pub(super) async fn resolve(
        &self,
        order: &Order,
    ) -> Result<(Arc<FeedIdentity>, Cursor), Error> {
        let view = order.view;
        let mut identity = self.identity();
        let beginning = InSnapshot::begin(&order.filter_bytes);
        let following = |sequence| Cursor {
            view,
            sequence,
            check: None,
            snapshot: None,
        };
        let mut cursor = match &order.start {
            Start::Now => following(self.newest(view).await?),
            Start::Beginning => following(0),
            Start::Since(time) => following(self.before_all_since(view, *time).await?),
            Start::Snapshot => Cursor {
                view,
                sequence: self.newest(view).await?,
                check: None,
                snapshot: Some(beginning.clone()),
            },
            Start::Cursor(text) => {
                let read = match Cursor::from_text(text, &identity, view) {
                    // Another server may know more of this feed's histories.
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
        if let Some(place) = &cursor.snapshot
            && place.filter != beginning.filter
        {
            return Err(Error::FilterChanged);
        }
        if let Some(time) = order.spared_before
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

    /// Compares the change at a place with the one that the cursor was cut at, and gives a place that has no check
    /// its check.
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
            None if sequence > 0 => self.shared.store.fingerprint_at(view, sequence).await?,
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
            // What is missing may have been dropped since this process looked.
            let earliest = self.refresh().await?.earliest(view);
            check_kept(earliest, sequence)?;
            return Err(Error::ForeignCursor);
        }
        cursor.check = here;
        Ok(())
    }

    /// The place before the first change that was accepted at a time or later.
    async fn before(&self, view: View, time: OffsetDateTime) -> Result<u64, Error> {
        if time > OffsetDateTime::now_utc() + CLOCKS_APART {
            return Err(Error::TimeInFuture);
        }
        // The head first: what is accepted in between is not passed by.
        let head = self.newest(view).await?;
        let first = self.shared.store.first_since(view, time).await?;
        Ok(first.map_or(head, |first| first - 1))
    }

    /// The same, if every change since then is kept. Whether the first one that is left was the first there was
    /// cannot be known once history was dropped.
    async fn before_all_since(&self, view: View, time: OffsetDateTime) -> Result<u64, Error> {
        let after = self.before(view, time).await?;
        let earliest = of_view(self.standing().await?.earliest, view);
        if earliest > 1 && after < earliest {
            return Err(Error::CursorExpired { after, earliest });
        }
        Ok(after)
    }

    async fn check_ahead(&self, cursor: &Cursor) -> Result<(), Error> {
        if cursor.sequence > self.ring(cursor.view).head() {
            // Perhaps another server's commit has not been heard of here yet.
            let head = self.newest(cursor.view).await?;
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

/// Whether everything after a sequence is kept.
pub(super) fn check_kept(earliest: u64, after: u64) -> Result<(), Error> {
    if after + 1 < earliest {
        return Err(Error::CursorExpired { after, earliest });
    }
    Ok(())
}
