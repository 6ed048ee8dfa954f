//! Which feed this database holds, which histories of it, and where it stands. That a database was restored,
//! promoted or copied is noticed in SQL (`feed_has_moved`), before anything is numbered there.

use dateline_record::digest::Tallies;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Error, Store, columns::sequence, fingerprint::fingerprint, pool::Lease, stored::View, tally,
    wake,
};

/// Which feed this database holds, and what of its history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedIdentity {
    /// Never changes, unless an operator makes a copy a feed of its own.
    pub id: Uuid,
    /// The history that is being written.
    pub epoch: u64,
    /// Seals page tokens.
    pub token_key: [u8; 32],
    /// Every history, in order; the last one is `epoch`.
    pub epochs: Vec<Epoch>,
    /// The oldest sequences that a stream can begin with: desk, then wire.
    pub earliest: (u64, u64),
}

/// A history of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    /// Drawn by lot.
    pub id: u64,
    /// The heads at which it took over: desk, then wire.
    pub heads: (u64, u64),
}

/// Of two numbers, desk then wire, the one of a view.
#[must_use]
pub fn of_view(numbers: (u64, u64), view: View) -> u64 {
    match view {
        View::Desk => numbers.0,
        View::Published => numbers.1,
    }
}

impl FeedIdentity {
    /// The last sequence up to which the history of an epoch is that of this database; `None` if it never took
    /// that epoch.
    #[must_use]
    pub fn shared_up_to(&self, epoch: u64, view: View) -> Option<u64> {
        let place = self.epochs.iter().position(|known| known.id == epoch)?;
        let later = self.epochs[place + 1..].iter();
        let heads = later.map(|epoch| of_view(epoch.heads, view));
        Some(heads.min().unwrap_or(u64::MAX))
    }

    /// The oldest sequence that a stream of a view can begin with.
    #[must_use]
    pub fn earliest(&self, view: View) -> u64 {
        of_view(self.earliest, view)
    }
}

/// Where the feeds stand, at one moment.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Which feed.
    pub feed: Uuid,
    /// Which history of it.
    pub epoch: u64,
    /// Newest sequences: desk, then wire.
    pub heads: (u64, u64),
    /// The oldest sequences that a stream can begin with: desk, then wire.
    pub earliest: (u64, u64),
    /// What the desk's feed shows at its head.
    pub desk: Tallies,
    /// What the wire shows at its head.
    pub wire: Tallies,
}

impl Standing {
    /// What a view shows at its head.
    #[must_use]
    pub fn shown(&self, view: View) -> &Tallies {
        match view {
            View::Desk => &self.desk,
            View::Published => &self.wire,
        }
    }
}

impl Store {
    /// Which feed this is.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn identity(&self) -> Result<FeedIdentity, Error> {
        // One statement: an epoch begins and is written down together.
        let rows = sqlx::query!(
            r#"SELECT feed.id AS feed, feed.epoch, feed.token_key, feed.desk_earliest, feed.wire_earliest,
                      epochs.id, epochs.desk_head, epochs.wire_head
               FROM feed
               CROSS JOIN epochs
               ORDER BY epochs.number"#
        )
        .fetch_all(&mut self.vital.acquire().await?)
        .await?;
        let damaged = |what: &str| Error::Corrupt(what.to_owned());
        let last = rows.last().ok_or_else(|| damaged("epochs"))?;
        Ok(FeedIdentity {
            id: last.feed,
            epoch: sequence(last.epoch)?,
            token_key: last
                .token_key
                .as_slice()
                .try_into()
                .map_err(|_| damaged("feed.token_key"))?,
            earliest: (sequence(last.desk_earliest)?, sequence(last.wire_earliest)?),
            epochs: rows
                .iter()
                .map(|row| {
                    Ok(Epoch {
                        id: sequence(row.id)?,
                        heads: (sequence(row.desk_head)?, sequence(row.wire_head)?),
                    })
                })
                .collect::<Result<_, Error>>()?,
        })
    }

    /// Where the feeds stand.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn standing(&self) -> Result<Standing, Error> {
        Ok(self.standing_after(0).await?.0)
    }

    /// Where the feeds stand, and at the same moment the fingerprint of a change of the desk's feed; `None` if there is
    /// no such change.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn standing_after(&self, seen: u64) -> Result<(Standing, Option<u64>), Error> {
        let row = sqlx::query!(
            r#"SELECT feed.id, epoch, desk_head, wire_head, desk_earliest, wire_earliest, desk_tally, wire_tally,
                      name AS "name?", revision AS "revision?", accepted_at AS "accepted_at?"
               FROM feed
               LEFT JOIN changes ON changes.desk_sequence = $1"#,
            seen.cast_signed(),
        )
        .fetch_one(&mut self.vital.acquire().await?)
        .await?;
        let found = row.name.zip(row.revision).zip(row.accepted_at);
        let found = found.map(|((name, revision), at)| fingerprint(&name, revision, at));
        let standing = Standing {
            feed: row.id,
            epoch: sequence(row.epoch)?,
            heads: (sequence(row.desk_head)?, sequence(row.wire_head)?),
            earliest: (sequence(row.desk_earliest)?, sequence(row.wire_earliest)?),
            desk: tally::read(&row.desk_tally)?,
            wire: tally::read(&row.wire_tally)?,
        };
        Ok((standing, found))
    }

    /// Begins a new history if the database lives elsewhere than it did, or has lost what was seen up to
    /// `known_head` of the desk's feed. Answers whether it did.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn settle(&self, known_head: u64) -> Result<bool, Error> {
        let known_head = i64::try_from(known_head).unwrap_or(i64::MAX);
        let began = sqlx::query_scalar!(r#"SELECT settle_feed($1) AS "began!""#, known_head)
            .fetch_one(&mut self.vital.acquire().await?)
            .await?;
        Ok(began)
    }

    /// Makes this a feed of its own: no cursor and no page token of before is taken any more. `None` if the
    /// feed is not the one that was meant.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn fork(&self, feed: Uuid) -> Result<Option<Uuid>, Error> {
        let mut transaction = self.vital.begin().await?;
        let forked = fork(&mut transaction, feed).await?;
        transaction.commit().await?;
        Ok(forked)
    }

    /// The first sequence of a view that was accepted at a time or later; `None` if nothing was.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn first_since(
        &self,
        view: View,
        since: OffsetDateTime,
    ) -> Result<Option<u64>, Error> {
        let row = sqlx::query!(
            "SELECT min(desk_sequence) AS desk, min(wire_sequence) AS wire FROM changes WHERE accepted_at >= $1",
            since,
        )
        .fetch_one(&mut self.feed.acquire().await?)
        .await?;
        let first = match view {
            View::Desk => row.desk,
            View::Published => row.wire,
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
        wake::tell(&mut *connection).await?;
    }
    Ok(forked)
}
