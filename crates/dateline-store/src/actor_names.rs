//! The names of actors in the order of the log, for indexes in memory that follow it.

use dateline_proto::v1::{Actor, State, record::Kind as Body};
use dateline_record::sequence::Sequence;

use super::{
    Error,
    columns::{DELETED, sequence, state},
    pool::Pool,
    positions::Positions,
    read_round::decode_body,
};

/// Most actors of a page.
const PAGE: i64 = 1000;

/// Actors whose newest revision is among the changes after a position.
#[derive(Debug)]
pub struct ActorPage {
    /// The feed's epoch: in another one the log may be another.
    pub epoch: i64,
    /// The heads of the feeds, read in the same snapshot.
    pub heads: Positions,
    /// Desk sequence up to which the page reaches: the head, or that of its last actor.
    pub reached: Sequence,
    /// The actors, in the order of the log.
    pub actors: Vec<ActorHead>,
}

/// The newest revision of an actor.
#[derive(Debug)]
pub struct ActorHead {
    /// Name of the record.
    pub name: String,
    /// Its state; `None` if it is deleted.
    pub state: Option<State>,
    /// True if its content was erased.
    pub is_purged: bool,
    /// Its content; `None` if it cannot be decoded.
    pub actor: Option<Actor>,
}

/// Reads actors in the order of the log; cheap to clone.
#[derive(Debug, Clone)]
pub struct ActorReader {
    control: Pool,
}

impl ActorReader {
    /// Returns a reader on these connections.
    pub(super) fn new(control: Pool) -> Self {
        Self { control }
    }

    /// Returns the next actors after a desk sequence. Changes that were superseded are skipped: a later page has the
    /// record.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn read_after(&self, position: Sequence) -> Result<ActorPage, Error> {
        let rows = sqlx::query!(
            r#"SELECT feed.epoch, feed.desk_head, feed.wire_head, page.name AS "name?", page.state AS "state?",
                      page.type AS "change_type?", page.desk_sequence AS "desk_sequence?", page.content AS "content?"
               FROM feed
               LEFT JOIN LATERAL (
                   SELECT changes.name, records.state, changes.type, changes.desk_sequence,
                       CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                           SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                       END AS content
                   FROM changes
                   JOIN records ON records.name = changes.name AND records.desk_sequence = changes.desk_sequence
                   WHERE changes.desk_sequence > $1
                       AND changes.desk_sequence <= feed.desk_head
                       AND changes.kind = 'actor'
                   ORDER BY changes.desk_sequence
                   LIMIT $2
               ) AS page ON true
               ORDER BY page.desk_sequence"#,
            position.to_i64(),
            PAGE,
        )
        .fetch_all(&mut self.control.acquire().await?)
        .await?;
        let first = rows
            .first()
            .ok_or_else(|| Error::Corrupt("there is no feed".to_owned()))?;
        let (epoch, heads) = (
            first.epoch,
            Positions {
                desk: sequence(first.desk_head)?,
                wire: sequence(first.wire_head)?,
            },
        );
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= PAGE;
        let last = rows.last().and_then(|row| row.desk_sequence);
        let reached = match last.filter(|_| is_full) {
            Some(last) => sequence(last)?,
            None => heads.desk,
        };
        let mut actors = Vec::with_capacity(rows.len());
        for row in rows {
            let (Some(name), Some(column), Some(content)) = (row.name, row.state, row.content)
            else {
                continue;
            };
            let state = (column != DELETED).then(|| state(&column)).transpose()?;
            let actor = match decode_body(&name, "actor", &content) {
                Ok(Body::Actor(actor)) => Some(actor),
                Ok(_) => None,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(record = name, error, "the names of an actor are not known");
                    None
                }
            };
            actors.push(ActorHead {
                name,
                state,
                is_purged: row.change_type.as_deref() == Some("purged"),
                actor,
            });
        }
        Ok(ActorPage {
            epoch,
            heads,
            reached,
            actors,
        })
    }
}
