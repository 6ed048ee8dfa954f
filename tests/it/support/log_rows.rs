//! Rules that hold between the rows of the log, whatever has happened.

use sqlx::PgConnection;

/// Rows that point at no content, and rows on the wire that do not name the change of their record before them. Rows of
/// a compacted log name changes that are gone; rows that a restored backup lost are not looked for.
const BROKEN: &str = "
    SELECT format('%s %s points at %s, where its content is not', name, revision, content_at)
    FROM changes
    WHERE content_at IS NOT NULL AND NOT EXISTS (
        SELECT FROM changes AS kept
        WHERE kept.desk_sequence = changes.content_at AND kept.name = changes.name AND kept.content_at IS NULL
            AND kept.content <> '')
    UNION ALL
    SELECT format('%s %s comes after %s, and says %s', name, revision, before, previous)
    FROM (
        SELECT name, revision, previous, commitment, desk_sequence,
            lag(wire_sequence) OVER (PARTITION BY name ORDER BY revision) AS before
        FROM changes
        WHERE wire_sequence IS NOT NULL
    ) AS told
    CROSS JOIN feed
    WHERE commitment IS NOT NULL AND previous IS DISTINCT FROM before
        AND (before IS NOT NULL OR feed.desk_earliest = 1)
    UNION ALL
    SELECT format('%s %s has another slot', name, revision)
    FROM changes
    WHERE slot <> get_byte(sha256(name::bytea), 0)";

/// Returns what is wrong in the log.
pub async fn broken_rows(sql: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(BROKEN).fetch_all(sql).await.unwrap()
}
