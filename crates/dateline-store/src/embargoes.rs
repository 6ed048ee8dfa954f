//! Embargoes that have ended: the due records, the references among them, and how long they have waited. Uses the
//! database's clock, which all servers share: a server whose own clock is wrong publishes nothing early.

use dateline_engine::{etag::Etag, release};
use dateline_record::name::Name;

use super::{Error, Store, columns::name, history::etag};

/// A record whose embargo has ended.
#[derive(Debug, Clone)]
pub struct DueEmbargo {
    /// The record.
    pub name: Name,
    /// Its present etag.
    pub etag: Etag,
    /// Its revision.
    pub revision: i64,
    /// Size of its content, in bytes.
    pub bytes: usize,
    /// The last desk sequence of the request that put it under embargo.
    pub batch: i64,
}

impl From<&DueEmbargo> for release::EndedEmbargo {
    fn from(due: &DueEmbargo) -> Self {
        Self {
            name: due.name.clone(),
            bytes: due.bytes,
            batch: due.batch,
        }
    }
}

/// A record whose embargo has ended and which cannot be read.
#[derive(Debug)]
pub struct DamagedEmbargo {
    /// Its name, as stored.
    pub name: String,
    /// Its revision.
    pub revision: i64,
    /// The error on reading it.
    pub error: Error,
}

/// Records whose embargo has ended.
#[derive(Debug, Default)]
pub struct DueEmbargoes {
    /// Due records in the order in which their embargoes end; records of one request are not split.
    pub due: Vec<DueEmbargo>,
    /// Records that cannot be read.
    pub damaged: Vec<DamagedEmbargo>,
    /// True if more may be due.
    pub has_more: bool,
}

/// Backlog of publication.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct OverdueEmbargoes {
    /// Number of due records.
    pub records: u64,
    /// Seconds that the first of them has waited; 0 if there is none.
    pub seconds: f64,
}

impl Store {
    /// Returns records whose embargo has ended, except these revisions. Returns about `limit` records: those that one
    /// request put under embargo are not split (W5).
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn ended_embargoes(
        &self,
        but: &[(String, i64)],
        limit: i64,
    ) -> Result<DueEmbargoes, Error> {
        let (names, revisions): (Vec<_>, Vec<_>) = but.iter().cloned().unzip();
        let rows = sqlx::query!(
            r#"SELECT records.name, records.revision, changes.meta, changes.desk_batch,
                      octet_length(CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
                          SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
                      END) AS "bytes!"
               FROM records
               JOIN changes ON changes.desk_sequence = records.desk_sequence
               WHERE records.state = 'embargoed' AND records.embargo_at <= now()
                   AND NOT EXISTS (
                       SELECT 1
                       FROM unnest($1::text[], $2::bigint[]) AS but (name, revision)
                       WHERE but.name = records.name AND but.revision = records.revision)
               ORDER BY records.embargo_at, changes.desk_batch
               FETCH FIRST $3 ROWS WITH TIES"#,
            &names,
            &revisions,
            limit,
        )
        .fetch_all(&mut self.control.acquire().await?)
        .await?;
        let mut ended = DueEmbargoes {
            has_more: i64::try_from(rows.len()).is_ok_and(|count| count >= limit),
            ..DueEmbargoes::default()
        };
        for row in rows {
            // A damaged record must not keep the others from being read.
            let read = name(&row.name).and_then(|name| Ok((name, etag(&row.name, &row.meta)?)));
            match read {
                Ok((name, etag)) => ended.due.push(DueEmbargo {
                    name,
                    etag: etag.into(),
                    revision: row.revision,
                    bytes: usize::try_from(row.bytes).unwrap_or(0),
                    batch: row.desk_batch,
                }),
                Err(error) => ended.damaged.push(DamagedEmbargo {
                    name: row.name,
                    revision: row.revision,
                    error,
                }),
            }
        }
        Ok(ended)
    }

    /// Returns the references among these records: source and target, as indexes into the list.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn links_among(&self, due: &[DueEmbargo]) -> Result<Vec<(usize, usize)>, Error> {
        if due.len() < 2 {
            return Ok(Vec::new());
        }
        let names: Vec<_> = due.iter().map(|it| it.name.to_string()).collect();
        let rows = sqlx::query!(
            r#"SELECT DISTINCT source.place AS "source!", target.place AS "target!"
               FROM unnest($1::text[]) WITH ORDINALITY AS source (name, place)
               JOIN links ON links.source = source.name
               JOIN unnest($1::text[]) WITH ORDINALITY AS target (name, place) ON target.name = links.target
               WHERE source.place <> target.place"#,
            &names,
        )
        .fetch_all(&mut self.control.acquire().await?)
        .await?;
        let place = |place: i64| usize::try_from(place - 1).unwrap_or(0);
        let links = rows.into_iter();
        Ok(links
            .map(|row| (place(row.source), place(row.target)))
            .collect())
    }

    /// Returns the backlog of publication, and those of these revisions that are still due.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn overdue_embargoes(
        &self,
        known: &[(String, i64)],
    ) -> Result<(OverdueEmbargoes, Vec<(String, i64)>), Error> {
        let mut connection = self.control.acquire().await?;
        let row = sqlx::query!(
            r#"SELECT count(*) AS "records!",
                      coalesce(extract(epoch FROM now() - min(embargo_at)), 0)::float8 AS "seconds!"
               FROM records
               WHERE state = 'embargoed' AND embargo_at <= now()"#
        )
        .fetch_one(&mut connection)
        .await?;
        let overdue = OverdueEmbargoes {
            records: u64::try_from(row.records).unwrap_or(0),
            seconds: row.seconds,
        };
        if known.is_empty() {
            return Ok((overdue, Vec::new()));
        }
        let (names, revisions): (Vec<_>, Vec<_>) = known.iter().cloned().unzip();
        let still = sqlx::query!(
            r#"SELECT records.name, records.revision
               FROM unnest($1::text[], $2::bigint[]) AS known (name, revision)
               JOIN records ON records.name = known.name AND records.revision = known.revision
               WHERE state = 'embargoed' AND embargo_at <= now()"#,
            &names,
            &revisions,
        )
        .fetch_all(&mut connection)
        .await?;
        let still = still.into_iter().map(|row| (row.name, row.revision));
        Ok((overdue, still.collect()))
    }
}
