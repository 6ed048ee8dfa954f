//! Actors that share keys with another one, as candidates for a comparison. Keys come from the projection `actor_keys`,
//! states and content from the records of the same snapshot: a row that is behind finds too much or too little for a
//! moment, and shows nothing that its caller may not see.

use std::time::Duration;

use dateline_match::{Key, KeyClass};
use dateline_record::{filter::Filter, sequence::Sequence};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{
    Error,
    pool::Pool,
    projection::{ACTOR_KEYS, hash},
    stored::{FeedView, RecordColumns, StoredRecord},
    visible_rows::push_visible,
};

/// Most candidates of one actor.
pub const MAX_CANDIDATES: usize = 500;
/// Keys that are looked for; the least selective ones are left out.
const MAX_WANTED: usize = 256;
/// Records that are read of one key. A key that more have finds hardly anything by itself.
const MAX_OF_KEY: i64 = 500;

/// Records that may be the same as an actor.
#[derive(Debug)]
pub struct Candidates {
    /// The records, those with the rarest keys in common first.
    pub records: Vec<StoredRecord>,
    /// True if there were more than [`MAX_CANDIDATES`].
    pub is_truncated: bool,
}

/// A record with its uid, which sorts by the time of creation.
#[derive(Debug)]
pub struct Created {
    /// The record.
    pub record: StoredRecord,
    /// Its uid.
    pub uid: Uuid,
}

/// The weight of a key among those that two actors have in common, before its rarity.
fn weight(class: KeyClass) -> f32 {
    match class {
        KeyClass::Identifier => 100.0,
        KeyClass::Whole => 8.0,
        KeyClass::Pair | KeyClass::Concepts => 3.0,
        KeyClass::Word => 1.5,
        KeyClass::Skeleton | KeyClass::Acronym => 1.0,
    }
}

/// Reads candidates; cheap to clone.
#[derive(Debug, Clone)]
pub struct CandidateReader {
    readers: Pool,
}

impl CandidateReader {
    /// Returns a reader on these connections.
    pub(super) fn new(readers: Pool) -> Self {
        Self { readers }
    }

    /// Returns the actors of a view and a filter that share a key with these, at most [`MAX_CANDIDATES`]; with `before`
    /// only those that were created before the record of this uid.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn find_candidates<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k Key>,
        filter: &Filter,
        view: FeedView,
        before: Option<Uuid>,
    ) -> Result<Candidates, Error> {
        let wanted = keys.into_iter().take(MAX_WANTED);
        let (hashes, weights) = wanted.map(|key| (hash(key), weight(key.class))).unzip();
        let mut query = select(hashes, weights, filter, view, before);
        let rows: Vec<RecordColumns> = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut self.readers.acquire().await?)
            .await?;
        let is_truncated = rows.len() > MAX_CANDIDATES;
        let records = rows.into_iter().take(MAX_CANDIDATES);
        Ok(Candidates {
            records: records
                .map(StoredRecord::try_from)
                .collect::<Result<_, _>>()?,
            is_truncated,
        })
    }

    /// Returns the newest actors of a view and a filter that were created before the record of a uid, newest first.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn newest_actors(
        &self,
        filter: &Filter,
        view: FeedView,
        before: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Created>, Error> {
        #[derive(sqlx::FromRow)]
        struct Row {
            uid: Uuid,
            #[sqlx(flatten)]
            record: RecordColumns,
        }
        let mut query = QueryBuilder::new(
            "SELECT actor_keys.uid, changes.name, changes.kind, changes.state, changes.desk_sequence,
                    changes.wire_sequence, CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                        SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                    END AS content,
                    changes.meta
             FROM actor_keys
             JOIN records ON records.name = actor_keys.name
             JOIN changes ON changes.desk_sequence = records.desk_sequence
             WHERE true",
        );
        push_visible(&mut query, filter, view);
        push_before(&mut query, before);
        query
            .push(" ORDER BY actor_keys.uid DESC LIMIT ")
            .push_bind(i64::from(limit));
        let rows: Vec<Row> = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&mut self.readers.acquire().await?)
            .await?;
        let created = rows.into_iter().map(|row| {
            Ok(Created {
                uid: row.uid,
                record: StoredRecord::try_from(row.record)?,
            })
        });
        created.collect()
    }

    /// Returns those of these names that a list of this view and filter has.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn listed_names(
        &self,
        names: &[String],
        filter: &Filter,
        view: FeedView,
    ) -> Result<Vec<String>, Error> {
        let mut query =
            QueryBuilder::new("SELECT records.name FROM records WHERE records.name = ANY (");
        query.push_bind(names.to_vec()).push(")");
        push_visible(&mut query, filter, view);
        Ok(query
            .build_query_scalar()
            .persistent(false)
            .fetch_all(&mut self.readers.acquire().await?)
            .await?)
    }

    /// Returns how far keys are behind the feed: the number of changes, and the time since the first of them.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn lag(&self) -> Result<(u64, Duration), Error> {
        let lag = sqlx::query!(
            r#"SELECT changes_behind AS "changes!", extract(epoch FROM behind)::float8 AS "seconds!"
               FROM projection_lag
               WHERE name = $1"#,
            ACTOR_KEYS,
        )
        .fetch_one(&mut self.readers.acquire().await?)
        .await?;
        let changes = u64::try_from(lag.changes).unwrap_or(0);
        let behind = Duration::try_from_secs_f64(lag.seconds).unwrap_or_default();
        Ok((changes, behind))
    }

    /// True if keys are up to date with a sequence of a view's feed.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn has_keys_of(&self, view: FeedView, sequence: Sequence) -> Result<bool, Error> {
        // A change that was compacted away lies far behind.
        let reached = sqlx::query_scalar!(
            r#"SELECT projections.epoch = feed.epoch AND projections.position >= CASE
                      WHEN $2 THEN $3
                      ELSE coalesce((SELECT changes.desk_sequence FROM changes WHERE changes.wire_sequence = $3), 0)
                  END AS "reached!"
               FROM projections
               CROSS JOIN feed
               WHERE projections.name = $1"#,
            ACTOR_KEYS,
            view == FeedView::Desk,
            sequence.to_i64(),
        )
        .fetch_one(&mut self.readers.acquire().await?)
        .await?;
        Ok(reached)
    }
}

/// Builds the query of candidates. A key that many records have weighs little, so a rare name is found among common
/// ones. Each key is a lookup of its own in the index, which ends at [`MAX_OF_KEY`], and so is each candidate: a join of
/// some hundred names would be planned as a scan of all records.
fn select(
    hashes: Vec<i64>,
    weights: Vec<f32>,
    filter: &Filter,
    view: FeedView,
    before: Option<Uuid>,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "WITH hits AS (
             SELECT hit.name, wanted.weight / count(*) OVER (PARTITION BY wanted.key) AS weight
             FROM unnest(",
    );
    query
        .push_bind(hashes)
        .push("::bigint[], ")
        .push_bind(weights)
        .push(
            "::real[]) AS wanted (key, weight)
             CROSS JOIN LATERAL (
                 SELECT records.name
                 FROM actor_keys
                 JOIN records ON records.name = actor_keys.name
                 WHERE actor_keys.keys @> ARRAY[wanted.key]",
        );
    push_visible(&mut query, filter, view);
    push_before(&mut query, before);
    query.push(" LIMIT ").push_bind(MAX_OF_KEY).push(
        ") AS hit
         ), best AS (
             SELECT name, sum(weight) AS weight
             FROM hits
             GROUP BY name
             ORDER BY weight DESC, name
             LIMIT ",
    );
    let limit = i64::try_from(MAX_CANDIDATES).unwrap_or(i64::MAX - 1) + 1;
    query.push_bind(limit).push(
        ")
         SELECT head.*
         FROM best
         CROSS JOIN LATERAL (
             SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                    CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                        SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                    END AS content, changes.meta
             FROM records
             JOIN changes ON changes.desk_sequence = records.desk_sequence
             WHERE records.name = best.name
             LIMIT 1
         ) AS head
         ORDER BY best.weight DESC, best.name",
    );
    query
}

fn push_before(query: &mut QueryBuilder<Postgres>, before: Option<Uuid>) {
    if let Some(uid) = before {
        query.push(" AND actor_keys.uid < ").push_bind(uid);
    }
}
