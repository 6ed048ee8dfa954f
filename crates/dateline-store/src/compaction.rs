//! Compaction: drops revisions that were superseded before a sequence. First the new earliest sequences are stored, so
//! that no stream reads a partly dropped history; then rows are deleted in small steps, each with the feed's lock only if
//! a revision that stays takes over the content of one that goes. An interrupted compaction is run again.

use dateline_record::sequence::Sequence;
use time::OffsetDateTime;

use super::{Error, Store, columns::positions, notify, positions::Positions};

/// Sequences per statement, halved when a statement times out. Commits wait for one that moves contents.
const ROWS_PER_STATEMENT: i64 = 1000;

/// Result of a compaction or of its dry run.
#[derive(Debug, Clone, Copy)]
pub struct Compacted {
    /// Number of revisions dropped.
    pub revisions: u64,
    /// The oldest sequences at which a stream can begin.
    pub earliest: Positions,
}

impl Store {
    /// Drops revisions that were superseded before a desk sequence; history then begins with the batch that holds it.
    ///
    /// # Errors
    /// If the database cannot answer; what was dropped until then stays dropped.
    pub async fn compact(&self, before: Sequence, only_count: bool) -> Result<Compacted, Error> {
        let (desk, wire) = self.point(before).await?;
        let earliest = positions(desk, wire)?;
        if !only_count {
            // Detects a restored database before this update marks the row as written by a server.
            self.ensure_epoch(Sequence::ZERO).await?;
            sqlx::query!(
                "UPDATE feed SET
                     written_by = pg_current_xact_id()::xid,
                     written_at = pg_current_wal_insert_lsn(),
                     desk_earliest = greatest(desk_earliest, $1),
                     wire_earliest = greatest(wire_earliest, $2)",
                desk,
                wire,
            )
            .execute(&mut self.control.acquire().await?)
            .await?;
            notify::send(&mut self.control.acquire().await?).await?;
        }
        let (mut revisions, mut first, mut step) = (0, 1, ROWS_PER_STATEMENT);
        while first < desk {
            let end = (first + step).min(desk);
            let done = if only_count {
                self.count_superseded(first, end, desk).await
            } else {
                self.drop_superseded(first, end, desk).await
            };
            match done {
                // Large revisions take longer; the same step would time out again and again.
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

    /// Returns the first desk sequence of the batch that holds `before`, or one after the head, and the first wire
    /// sequence from there on.
    async fn point(&self, before: Sequence) -> Result<(i64, i64), Error> {
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
            before.to_i64(),
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
        let dropped = sqlx::query_scalar!(
            r#"SELECT drop_superseded($1, $2, $3) AS "dropped!""#,
            first,
            end,
            point,
        )
        .fetch_one(&mut self.feed.acquire().await?)
        .await?;
        Ok(u64::try_from(dropped).unwrap_or(0))
    }

    /// Returns the first desk sequence that was accepted at a time or later; one after the head if there is none.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn desk_sequence_since(&self, since: OffsetDateTime) -> Result<Sequence, Error> {
        let first = self.first_since(super::FeedView::Desk, since).await?;
        match first {
            Some(first) => Ok(first),
            None => Ok(self.heads().await?.desk.next()),
        }
    }
}
