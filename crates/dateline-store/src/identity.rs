//! Identity of the feed: its id, its histories (epochs) and its heads. SQL detects that a database was restored,
//! promoted or copied (`feed_has_moved`), before any change is numbered there.

use dateline_record::{digest::Tallies, sequence::Sequence};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Error, Store,
    columns::{epoch, positions, sequence},
    fingerprint::fingerprint,
    notify,
    pool::Lease,
    positions::Positions,
    stored::FeedView,
    tally,
    version::FeedVersion,
};

/// The feed in this database and its histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedIdentity {
    /// Id of the feed. It changes only if an operator turns a copy into a feed of its own.
    pub id: Uuid,
    /// The history that is being written.
    pub epoch: u64,
    /// Key that seals page tokens.
    pub token_key: [u8; 32],
    /// Every history, oldest first; the last one is `epoch`.
    pub epochs: Vec<Epoch>,
    /// The oldest sequences at which a stream can begin.
    pub earliest: Positions,
}

/// A history of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Random number.
    pub id: u64,
    /// The heads at which it began.
    pub heads: Positions,
}

impl FeedIdentity {
    /// Returns the last sequence up to which an epoch's history is also this database's; `None` for an epoch that is
    /// not in its history.
    #[must_use]
    pub fn shared_up_to(&self, epoch: u64, view: FeedView) -> Option<Sequence> {
        let position = self.epochs.iter().position(|known| known.id == epoch)?;
        let later = self.epochs[position + 1..].iter();
        let heads = later.map(|epoch| epoch.heads.in_view(view));
        Some(heads.min().unwrap_or(Sequence::MAX))
    }

    /// Returns the oldest sequence at which a stream of a view can begin.
    #[must_use]
    pub fn earliest(&self, view: FeedView) -> Sequence {
        self.earliest.in_view(view)
    }
}

/// Heads, history and digests of the feeds at one moment.
#[derive(Debug, Clone)]
pub struct FeedStatus {
    /// Id of the feed.
    pub feed: Uuid,
    /// Its present history.
    pub epoch: u64,
    /// Version of its row.
    pub version: FeedVersion,
    /// Newest sequences.
    pub heads: Positions,
    /// The oldest sequences at which a stream can begin.
    pub earliest: Positions,
    /// Tallies of the desk feed at its head.
    pub desk: Tallies,
    /// Tallies of the wire feed at its head.
    pub wire: Tallies,
}

impl FeedStatus {
    /// Returns the tallies of a view at its head.
    #[must_use]
    pub fn tallies(&self, view: FeedView) -> &Tallies {
        match view {
            FeedView::Desk => &self.desk,
            FeedView::Wire => &self.wire,
        }
    }
}

impl Store {
    /// Returns the identity of the feed.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn identity(&self) -> Result<FeedIdentity, Error> {
        // One statement: `feed.epoch` and its row in `epochs` are read consistently.
        let rows = sqlx::query!(
            r#"SELECT feed.id AS feed, feed.epoch, feed.token_key, feed.desk_earliest, feed.wire_earliest,
                      epochs.id, epochs.desk_head, epochs.wire_head
               FROM feed
               CROSS JOIN epochs
               ORDER BY epochs.number"#
        )
        .fetch_all(&mut self.control.acquire().await?)
        .await?;
        let damaged = |what: &str| Error::Corrupt(what.to_owned());
        let last = rows.last().ok_or_else(|| damaged("epochs"))?;
        Ok(FeedIdentity {
            id: last.feed,
            epoch: epoch(last.epoch)?,
            token_key: last
                .token_key
                .as_slice()
                .try_into()
                .map_err(|_| damaged("feed.token_key"))?,
            earliest: positions(last.desk_earliest, last.wire_earliest)?,
            epochs: rows
                .iter()
                .map(|row| {
                    Ok(Epoch {
                        id: epoch(row.id)?,
                        heads: positions(row.desk_head, row.wire_head)?,
                    })
                })
                .collect::<Result<_, Error>>()?,
        })
    }

    /// Returns the status of the feeds.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn feed_status(&self) -> Result<FeedStatus, Error> {
        Ok(self.feed_status_after(Sequence::ZERO).await?.0)
    }

    /// Returns the status of the feeds and, from the same moment, the fingerprint of a change of the desk feed; `None`
    /// if there is no such change.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn feed_status_after(
        &self,
        seen: Sequence,
    ) -> Result<(FeedStatus, Option<u64>), Error> {
        let row = sqlx::query!(
            r#"SELECT feed.id, epoch, desk_head, wire_head, desk_earliest, wire_earliest, desk_tally, wire_tally,
                      feed.xmin::text::bigint AS "written_by!", name AS "name?", revision AS "revision?", accepted_at AS "accepted_at?"
               FROM feed
               LEFT JOIN changes ON changes.desk_sequence = $1"#,
            seen.to_i64(),
        )
        .fetch_one(&mut self.control.acquire().await?)
        .await?;
        let found = row.name.zip(row.revision).zip(row.accepted_at);
        let found = found.map(|((name, revision), at)| fingerprint(&name, revision, at));
        let feed_status = FeedStatus {
            feed: row.id,
            epoch: epoch(row.epoch)?,
            version: FeedVersion::new(row.epoch, row.desk_head, row.written_by),
            heads: positions(row.desk_head, row.wire_head)?,
            earliest: positions(row.desk_earliest, row.wire_earliest)?,
            desk: tally::read(&row.desk_tally)?,
            wire: tally::read(&row.wire_tally)?,
        };
        Ok((feed_status, found))
    }

    /// Begins a new history if the database has moved, or has lost changes up to `known_head` of the desk feed. Returns
    /// true if it did.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn ensure_epoch(&self, known_head: Sequence) -> Result<bool, Error> {
        let began =
            sqlx::query_scalar!(r#"SELECT settle_feed($1) AS "began!""#, known_head.to_i64())
                .fetch_one(&mut self.control.acquire().await?)
                .await?;
        Ok(began)
    }

    /// Makes this a feed of its own: cursors and page tokens from before are refused. Returns `None` if `feed` is not
    /// the id of this feed.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn fork(&self, feed: Uuid) -> Result<Option<Uuid>, Error> {
        let mut transaction = self.control.begin().await?;
        let forked = fork(&mut transaction, feed).await?;
        transaction.commit().await?;
        Ok(forked)
    }

    /// Returns the first sequence of a view that was accepted at a time or later; `None` if there is none.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn first_since(
        &self,
        view: FeedView,
        since: OffsetDateTime,
    ) -> Result<Option<Sequence>, Error> {
        let row = sqlx::query!(
            "SELECT min(desk_sequence) AS desk, min(wire_sequence) AS wire FROM changes WHERE accepted_at >= $1",
            since,
        )
        .fetch_one(&mut self.feed.acquire().await?)
        .await?;
        let first = match view {
            FeedView::Desk => row.desk,
            FeedView::Wire => row.wire,
        };
        first.map(sequence).transpose()
    }
}

async fn fork(connection: &mut Lease, feed: Uuid) -> Result<Option<Uuid>, Error> {
    let forked = sqlx::query_scalar!(
        "UPDATE feed SET
             id = gen_random_uuid(),
             epoch = 1,
             home = feed_home(),
             written_by = pg_current_xact_id()::xid,
             written_at = pg_current_wal_insert_lsn(),
             token_key = sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea)
         WHERE id = $1
         RETURNING id",
        feed,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if forked.is_some() {
        sqlx::query!("DELETE FROM epochs")
            .execute(&mut *connection)
            .await?;
        sqlx::query!("INSERT INTO epochs (number, id, desk_head, wire_head) VALUES (1, 1, 0, 0)")
            .execute(&mut *connection)
            .await?;
        notify::send(&mut *connection).await?;
    }
    Ok(forked)
}
