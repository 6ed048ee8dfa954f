//! Fingerprints of changes. A restored, promoted or copied database may hold another change at a sequence that somebody
//! has seen, and the fingerprint may be the only thing that reveals it (F6).

use std::collections::HashMap;

use dateline_record::sequence::Sequence;
use time::OffsetDateTime;

use super::{Error, LogEntry, Store, columns::sequence, stored::FeedView};

/// A position in a feed, and the fingerprint of the change there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Number of the change.
    pub sequence: Sequence,
    /// Fingerprint of the change.
    pub fingerprint: u64,
}

/// Returns the same number for the same change on every server, at any time. Fields that a purge blanks are not part of
/// it. Two histories do not accept the same revision of the same record in the same microsecond.
pub(super) fn fingerprint(name: &str, revision: i64, accepted_at: OffsetDateTime) -> u64 {
    let micros = accepted_at.unix_timestamp_nanos() / 1000;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&micros.to_be_bytes());
    hasher.update(&revision.to_be_bytes());
    hasher.update(name.as_bytes());
    let mut number = [0; 8];
    hasher.finalize_xof().fill(&mut number);
    u64::from_be_bytes(number)
}

impl LogEntry {
    /// Returns the fingerprint of this change.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        fingerprint(self.record.name.as_str(), self.revision, self.accepted_at)
    }
}

struct MarkRow {
    sequence: i64,
    name: String,
    revision: i64,
    accepted_at: OffsetDateTime,
}

impl TryFrom<MarkRow> for Mark {
    type Error = Error;

    fn try_from(row: MarkRow) -> Result<Self, Error> {
        Ok(Self {
            sequence: sequence(row.sequence)?,
            fingerprint: fingerprint(&row.name, row.revision, row.accepted_at),
        })
    }
}

impl Store {
    /// Returns the fingerprint of the change at a sequence of a view; `None` if there is none, or it was dropped.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn fingerprint_at(&self, view: FeedView, at: Sequence) -> Result<Option<u64>, Error> {
        let at = at.to_i64();
        let row = match view {
            FeedView::Desk => {
                sqlx::query_as!(
                    MarkRow,
                    "SELECT desk_sequence AS sequence, name, revision, accepted_at
                     FROM changes
                     WHERE desk_sequence = $1",
                    at,
                )
                .fetch_optional(&mut self.control.acquire().await?)
                .await?
            }
            FeedView::Wire => {
                sqlx::query_as!(
                    MarkRow,
                    r#"SELECT wire_sequence AS "sequence!", name, revision, accepted_at
                       FROM changes
                       WHERE wire_sequence = $1"#,
                    at,
                )
                .fetch_optional(&mut self.control.acquire().await?)
                .await?
            }
        };
        let mark = row.map(Mark::try_from).transpose()?;
        Ok(mark.map(|mark| mark.fingerprint))
    }

    /// Returns the last of these changes of the desk feed that the log still holds with the same fingerprint.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn last_shared(&self, seen: &[Mark]) -> Result<Option<Sequence>, Error> {
        let sequences: Vec<_> = seen.iter().map(|mark| mark.sequence.to_i64()).collect();
        let rows = sqlx::query_as!(
            MarkRow,
            "SELECT desk_sequence AS sequence, name, revision, accepted_at
             FROM changes
             WHERE desk_sequence = ANY ($1)",
            &sequences,
        )
        .fetch_all(&mut self.control.acquire().await?)
        .await?;
        let mut here = HashMap::with_capacity(rows.len());
        for row in rows {
            let mark = Mark::try_from(row)?;
            here.insert(mark.sequence, mark.fingerprint);
        }
        let shared = seen
            .iter()
            .filter(|mark| here.get(&mark.sequence) == Some(&mark.fingerprint));
        Ok(shared.map(|mark| mark.sequence).max())
    }

    /// Begins a new history that shares the known one up to a sequence of the desk feed. Returns false if another
    /// history has begun since.
    ///
    /// # Errors
    /// If the database cannot answer.
    pub async fn begin_epoch(&self, known_epoch: u64, shared: Sequence) -> Result<bool, Error> {
        let began = sqlx::query_scalar!(
            r#"SELECT part_feed($1, $2) AS "began!""#,
            known_epoch.cast_signed(),
            shared.to_i64(),
        )
        .fetch_one(&mut self.control.acquire().await?)
        .await?;
        Ok(began)
    }
}
