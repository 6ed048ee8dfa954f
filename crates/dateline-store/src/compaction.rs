//! Dropping history: revisions that were superseded before a point. First it is written down where streams can
//! begin from then on, so that nobody reads what is about to go as if it had never been; then rows go, some at a
//! time, without the feed's lock. Who is interrupted begins again.

use time::OffsetDateTime;

use super::{Error, Store, columns::sequence, wake};

/// Sequences that one statement looks at, unless that takes too long.
const STEP: i64 = 5000;

/// What a compaction has dropped, or would.
#[derive(Debug, Clone, Copy)]
pub struct Compacted {
    /// Revisions.
    pub revisions: u64,
    /// The oldest sequences that a stream can begin with: desk, then wire.
    pub earliest: (u64, u64),
}

impl Store {
    /// Drops what was superseded before a sequence of the desk's feed; history begins with the batch that holds it.
    ///
    /// # Errors
    /// When the database cannot answer; what was dropped by then stays so.
    pub async fn compact(&self, before: u64, only_count: bool) -> Result<Compacted, Error> {
        let (desk, wire) = self.point(before).await?;
        let earliest = (sequence(desk)?, sequence(wire)?);
        if !only_count {
            // What was restored is noticed before this row says that a server wrote it.
            self.settle(0).await?;
            sqlx::query!(
                "UPDATE feed SET
                     written_by = pg_current_xact_id()::xid,
                     written_at = pg_current_wal_insert_lsn(),
                     desk_earliest = greatest(desk_earliest, $1),
                     wire_earliest = greatest(wire_earliest, $2)",
                desk,
                wire,
            )
            .execute(&mut self.vital.acquire().await?)
            .await?;
            wake::tell(&mut self.vital.acquire().await?).await?;
        }
        let (mut revisions, mut first, mut step) = (0, 1, STEP);
        while first < desk {
            let end = (first + step).min(desk);
            let done = if only_count {
                self.count_superseded(first, end, desk).await
            } else {
                self.drop_superseded(first, end, desk).await
            };
            match done {
                // Large revisions take longer; the same step again would fail for ever.
                Err(Error::TimedOut(_)) if step > 1 => {
                    step /= 2;
                    continue;
                }
                done => revisions += done?,
            }
            first = end;
        }
        Ok(Compacted {
            revisions,
            earliest,
        })
    }

    /// The first desk sequence of the batch that holds `before`, or one after the head, and the first wire sequence
    /// from there.
    async fn point(&self, before: u64) -> Result<(i64, i64), Error> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let row = sqlx::query!(
            r#"WITH point AS (
                   SELECT greatest(feed.desk_earliest, coalesce(max(changes.desk_batch), 0) + 1) AS desk
                   FROM feed
                   LEFT JOIN changes
                       ON changes.desk_batch < least($1, feed.desk_head + 1)
                       AND changes.desk_sequence < least($1, feed.desk_head + 1)
                       AND changes.desk_sequence > least($1, feed.desk_head + 1) - 10000
                   GROUP BY feed.desk_earliest
               )
               SELECT point.desk AS "desk!", coalesce(
                   (SELECT changes.wire_sequence
                    FROM changes
                    WHERE changes.desk_sequence >= point.desk AND changes.wire_sequence IS NOT NULL
                    ORDER BY changes.desk_sequence
                    LIMIT 1),
                   feed.wire_head + 1) AS "wire!"
               FROM point, feed"#,
            before,
        )
        .fetch_one(&mut self.feed.acquire().await?)
        .await?;
        Ok((row.desk, row.wire))
    }

    async fn count_superseded(&self, first: i64, end: i64, point: i64) -> Result<u64, Error> {
        let count = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM superseded($1, $2, $3)"#,
            first,
            end,
            point,
        )
        .fetch_one(&mut self.feed.acquire().await?)
        .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn drop_superseded(&self, first: i64, end: i64, point: i64) -> Result<u64, Error> {
        let dropped = sqlx::query!(
            "DELETE FROM changes
             USING superseded($1, $2, $3) AS gone (desk_sequence)
             WHERE changes.desk_sequence = gone.desk_sequence",
            first,
            end,
            point,
        )
        .execute(&mut self.feed.acquire().await?)
        .await?;
        Ok(dropped.rows_affected())
    }

    /// The first desk sequence that was accepted at a time or later; one after the head if there is none.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn desk_sequence_since(&self, since: OffsetDateTime) -> Result<u64, Error> {
        let first = self.first_since(super::View::Desk, since).await?;
        match first {
            Some(first) => Ok(first),
            None => Ok(self.heads().await?.0 + 1),
        }
    }
}
