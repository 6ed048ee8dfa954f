//! Search: the records that match words, a filter and a view, in an order. The index is a projection, and the present
//! records decide: a record is found by the words of its present content alone, in the view and filter of the caller.

mod request;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

use dateline_search::{Candidate, Query, Stems};
use time::Date;

pub use self::request::{SearchAfter, SearchOrder, SearchQuery};
use self::statement::{Matching, select};
use super::{
    Error,
    pool::{Lease, Pool},
    stored::{FeedView, RecordColumns, StoredRecord},
};

/// Most records that are ranked and counted.
pub const MAX_MATCHES: usize = 1000;
/// Most records that are compared with a query because their names are spelled like it.
const MAX_ALIKE: usize = 500;
/// Hits beyond which no others are looked for that are only spelled alike.
const ENOUGH: usize = 10;

/// A hit, without its content.
#[derive(Debug, Clone)]
pub struct SearchRow {
    /// Name of the record.
    pub name: String,
    /// Desk sequence of the revision that was found.
    pub desk_sequence: i64,
    /// Sequence of that revision in the view.
    pub sequence: i64,
    /// First day of its time.
    pub first_day: Option<Date>,
    /// Its facets.
    pub facets: Vec<String>,
    /// Author of the revision.
    pub author: String,
    /// 1 to 1,000; 0 without words.
    pub score: u32,
}

/// Hits in their order.
#[derive(Debug, Default)]
pub struct SearchRows {
    /// At most 1,000.
    pub rows: Vec<SearchRow>,
    /// True if there are more.
    pub has_more: bool,
}

#[derive(Debug, sqlx::FromRow)]
struct FoundRow {
    name: String,
    desk_sequence: i64,
    wire_sequence: Option<i64>,
    first_day: Option<Date>,
    facets: Vec<String>,
    author: String,
    names: String,
    text_rank: f64,
}

impl SearchRow {
    /// True if this hit comes after a position in the order of relevance.
    #[must_use]
    pub fn is_after(&self, after: &SearchAfter) -> bool {
        let score: u32 = after.key.parse().unwrap_or(0);
        self.score < score || self.score == score && self.name > after.name
    }

    /// Returns the position behind this hit.
    #[must_use]
    pub fn position(&self, order: SearchOrder) -> SearchAfter {
        let key = match order {
            SearchOrder::Relevance => self.score.to_string(),
            SearchOrder::Newest => self.sequence.to_string(),
            SearchOrder::Time => self
                .first_day
                .map(|day| day.to_string())
                .unwrap_or_default(),
            SearchOrder::Name => String::new(),
        };
        SearchAfter {
            key,
            name: self.name.clone(),
        }
    }

    fn new(row: FoundRow, view: FeedView, score: u32) -> Self {
        Self {
            sequence: match view {
                FeedView::Desk => row.desk_sequence,
                FeedView::Wire => row.wire_sequence.unwrap_or_default(),
            },
            name: row.name,
            desk_sequence: row.desk_sequence,
            first_day: row.first_day,
            facets: row.facets,
            author: row.author,
            score,
        }
    }
}

/// The search index of a database; cheap to clone.
#[derive(Debug, Clone)]
pub struct SearchIndex {
    readers: Pool,
    control: Pool,
    writer: Pool,
}

impl SearchIndex {
    /// Returns an index that is read and asked to be made again on these connections.
    pub(super) fn new(readers: Pool, control: Pool, writer: Pool) -> Self {
        Self {
            readers,
            control,
            writer,
        }
    }

    /// Returns at most 1,000 hits: by relevance the nearest ones, in other orders those after a position.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn search(
        &self,
        query: &SearchQuery<'_>,
        stems: &Stems,
        after: Option<&SearchAfter>,
    ) -> Result<SearchRows, Error> {
        let mut connection = self.readers.acquire().await?;
        match query.words {
            Some(words) if query.order == SearchOrder::Relevance => {
                by_relevance(&mut connection, query, words, stems).await
            }
            _ => in_order(&mut connection, query, stems, after).await,
        }
    }

    /// Returns the stems of words in lower case, by the languages of the records in the index.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn stems(&self, words: &[String]) -> Result<Stems, Error> {
        let mut stems = Stems::new();
        if words.is_empty() {
            return Ok(stems);
        }
        let found = sqlx::query!(
            r#"WITH RECURSIVE used AS (
                   (SELECT configuration FROM search WHERE configuration IS NOT NULL ORDER BY configuration LIMIT 1)
                   UNION ALL
                   SELECT (
                       SELECT search.configuration FROM search WHERE search.configuration > used.configuration
                       ORDER BY search.configuration LIMIT 1)
                   FROM used
                   WHERE used.configuration IS NOT NULL
               )
               SELECT DISTINCT word AS "word!", stem AS "stem!"
               FROM used
               JOIN pg_ts_config
                   ON pg_ts_config.cfgname = used.configuration AND pg_ts_config.cfgnamespace = 'pg_catalog'::regnamespace
               CROSS JOIN unnest($1::text[]) AS word
               CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector(pg_ts_config.oid::regconfig, word))) AS stem
               ORDER BY 1, 2"#,
            words,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        for row in found {
            stems.entry(row.word).or_default().push(row.stem);
        }
        Ok(stems)
    }

    /// Returns the records of hits as they were found, by their desk sequence: those that are still kept, up to so many
    /// bytes, and always the first one.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn found_records(
        &self,
        rows: &[SearchRow],
        max_bytes: usize,
    ) -> Result<BTreeMap<i64, StoredRecord>, Error> {
        let sequences: Vec<_> = rows.iter().map(|row| row.desk_sequence).collect();
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let found = sqlx::query_as!(
            RecordColumns,
            r#"SELECT name AS "name!", kind AS "kind!", state AS "state!", desk_sequence AS "desk_sequence!",
                      wire_sequence, content AS "content!", meta AS "meta!"
               FROM (
                   SELECT changes.name, changes.kind, changes.state, changes.desk_sequence, changes.wire_sequence,
                       changes.meta, shown.content, place,
                       sum(octet_length(shown.content) + octet_length(meta)) OVER (ORDER BY place) AS bytes,
                       row_number() OVER (ORDER BY place) AS number
                   FROM unnest($1::bigint[]) WITH ORDINALITY AS asked (sequence, place)
                   JOIN changes ON changes.desk_sequence = asked.sequence
                   CROSS JOIN LATERAL (
                       SELECT CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                           SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                       END AS content
                   ) AS shown
               ) AS page
               WHERE bytes <= $2 OR number = 1"#,
            &sequences,
            max_bytes,
        )
        .fetch_all(&mut self.readers.acquire().await?)
        .await?;
        let records = found.into_iter().map(|row| {
            let sequence = row.desk_sequence;
            StoredRecord::try_from(row).map(|record| (sequence, record))
        });
        records.collect()
    }

    /// True if the index has a sequence of a feed.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn has(&self, view: FeedView, sequence: i64) -> Result<bool, Error> {
        let found = sqlx::query_scalar!(
            r#"SELECT projections.epoch = feed.epoch AND projections.position >= coalesce(
                   CASE WHEN $1 THEN $2::bigint ELSE (
                       SELECT changes.desk_sequence
                       FROM changes
                       WHERE changes.wire_sequence <= $2
                       ORDER BY changes.wire_sequence DESC
                       LIMIT 1) END, 0) AS "has_it!"
               FROM projections
               CROSS JOIN feed
               WHERE projections.name = 'search'"#,
            view == FeedView::Desk,
            sequence,
        )
        .fetch_one(&mut self.readers.acquire().await?)
        .await?;
        Ok(found)
    }

    /// Returns the changes by which the index is behind the feed, and seconds since the first of them.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn lag(&self) -> Result<(i64, f64), Error> {
        let lag = sqlx::query!(
            r#"SELECT changes_behind AS "changes!", extract(epoch FROM behind)::float8 AS "seconds!"
               FROM projection_lag
               WHERE name = 'search'"#,
        )
        .fetch_one(&mut self.control.acquire().await?)
        .await?;
        Ok((lag.changes, lag.seconds))
    }

    /// Lets the index be made again beside the present one. Returns the desk sequence up to which it is.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn rebuild(&self) -> Result<i64, Error> {
        let until = sqlx::query_scalar!(r#"SELECT rebuild_search() AS "until!""#)
            .fetch_one(&mut self.writer.acquire().await?)
            .await?;
        Ok(until)
    }
}

async fn fetch(
    connection: &mut Lease,
    query: &SearchQuery<'_>,
    matching: Matching<'_>,
    after: Option<&SearchAfter>,
    limit: usize,
) -> Result<Vec<FoundRow>, Error> {
    let mut statement = select(query, matching, after, limit);
    // The plan depends on the words and on the filter.
    let rows = statement.build_query_as::<FoundRow>().persistent(false);
    Ok(rows.fetch_all(connection).await?)
}

async fn in_order(
    connection: &mut Lease,
    query: &SearchQuery<'_>,
    stems: &Stems,
    after: Option<&SearchAfter>,
) -> Result<SearchRows, Error> {
    let text = query.words.map(|words| words.tsquery(stems));
    let matching = text.as_deref().map_or(Matching::All, Matching::Words);
    let mut found = fetch(connection, query, matching, after, MAX_MATCHES + 1).await?;
    let has_more = found.len() > MAX_MATCHES;
    found.truncate(MAX_MATCHES);
    let score = |row: &FoundRow| {
        let words = query.words?;
        words.score(row.candidate(true))
    };
    let rows = found.into_iter().map(|row| {
        let score = score(&row).unwrap_or_default();
        SearchRow::new(row, query.view, score)
    });
    Ok(SearchRows {
        rows: rows.collect(),
        has_more,
    })
}

impl FoundRow {
    fn candidate(&self, has_all: bool) -> Candidate<'_> {
        Candidate {
            names: &self.names,
            text_rank: self.text_rank,
            has_all,
        }
    }
}

/// Hits by their names first, then by their texts, then those whose names are spelled like the words.
async fn by_relevance(
    connection: &mut Lease,
    query: &SearchQuery<'_>,
    words: &Query,
    stems: &Stems,
) -> Result<SearchRows, Error> {
    let mut hits = Hits {
        view: query.view,
        words,
        seen: BTreeSet::new(),
        rows: Vec::new(),
        has_more: false,
    };
    let names = words.name_tsquery();
    let found = fetch(
        connection,
        query,
        Matching::Words(&names),
        None,
        MAX_MATCHES + 1,
    )
    .await?;
    hits.add(found, true, MAX_MATCHES);
    if !hits.has_more {
        let text = words.tsquery(stems);
        let found = fetch(
            connection,
            query,
            Matching::Words(&text),
            None,
            MAX_MATCHES + 1,
        )
        .await?;
        hits.add(found, true, MAX_MATCHES);
    }
    let groups = words.typo_groups();
    if hits.rows.len() < ENOUGH && words.is_plain() && !groups.is_empty() {
        let found = fetch(connection, query, Matching::Alike(&groups), None, MAX_ALIKE).await?;
        hits.add(found, false, MAX_MATCHES);
        if hits.rows.is_empty() && groups.len() > 2 {
            let found = fetch(
                connection,
                query,
                Matching::AllButOne(&groups),
                None,
                MAX_ALIKE,
            );
            hits.add(found.await?, false, MAX_MATCHES);
        }
    }
    Ok(hits.ranked())
}

/// Hits that are being collected.
struct Hits<'a> {
    view: FeedView,
    words: &'a Query,
    seen: BTreeSet<String>,
    rows: Vec<SearchRow>,
    has_more: bool,
}

impl Hits<'_> {
    fn add(&mut self, found: Vec<FoundRow>, has_all: bool, most: usize) {
        for row in found {
            if self.seen.contains(&row.name) {
                continue;
            }
            let Some(score) = self.words.score(row.candidate(has_all)) else {
                continue;
            };
            if self.rows.len() == most {
                self.has_more = true;
                return;
            }
            self.seen.insert(row.name.clone());
            self.rows.push(SearchRow::new(row, self.view, score));
        }
    }

    fn ranked(mut self) -> SearchRows {
        self.rows.sort_by(|one, other| {
            other
                .score
                .cmp(&one.score)
                .then_with(|| one.name.cmp(&other.name))
        });
        SearchRows {
            rows: self.rows,
            has_more: self.has_more,
        }
    }
}
