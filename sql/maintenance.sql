-- Functions of compaction and of respelling.

-- Returns the rows of a part of the log, from `first` to before `ending`, that go when history begins at `point`: a
-- newer revision exists before it, for the desk and, of what readers saw, for readers. Of an article that is cited
-- every revision stays, because evidence names revisions.
CREATE OR REPLACE FUNCTION superseded(first bigint, ending bigint, point bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE
AS $$
    SELECT old.desk_sequence
    FROM changes AS old
    WHERE old.desk_sequence >= first AND old.desk_sequence < ending
        AND EXISTS (
            SELECT 1
            FROM changes AS newer
            WHERE newer.name = old.name AND newer.revision > old.revision AND newer.desk_sequence < point
                AND (old.wire_sequence IS NULL OR newer.wire_sequence IS NOT NULL))
        AND NOT EXISTS (
            SELECT 1 FROM links WHERE links.target = old.name AND links.field = 'evidence.article')
$$;

-- Deletes these rows. Where revisions that stay point at the content of one that goes, the oldest of them takes it over,
-- and the others point there. That is done under the feed's lock: a commit that leaves the content of a record as it is
-- points where its newest revision points. Without the lock none can begin to point at a row that goes: the newest
-- revision stays, and nothing that stays points there.
CREATE OR REPLACE FUNCTION drop_superseded(first bigint, ending bigint, point bigint) RETURNS bigint
LANGUAGE plpgsql
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    gone bigint[] := ARRAY(SELECT superseded(first, ending, point));
    dropped bigint;
BEGIN
    IF EXISTS (
        SELECT
        FROM changes AS old
        JOIN changes AS heir ON heir.name = old.name AND heir.revision > old.revision
        WHERE old.desk_sequence = ANY (gone)
            AND heir.content_at = old.desk_sequence AND heir.desk_sequence <> ALL (gone)
    ) THEN
        PERFORM FROM feed FOR UPDATE;
        UPDATE changes SET
            content = CASE WHEN changes.desk_sequence = heirs.oldest THEN heirs.content ELSE '' END,
            content_at = nullif(heirs.oldest, changes.desk_sequence)
        FROM (
            SELECT
                heir.desk_sequence, old.content,
                min(heir.desk_sequence) OVER (PARTITION BY old.desk_sequence) AS oldest
            FROM changes AS old
            JOIN changes AS heir ON heir.name = old.name AND heir.revision > old.revision
            WHERE old.desk_sequence = ANY (gone)
                AND heir.content_at = old.desk_sequence AND heir.desk_sequence <> ALL (gone)
        ) AS heirs
        WHERE changes.desk_sequence = heirs.desk_sequence;
    END IF;
    DELETE FROM changes WHERE desk_sequence = ANY (gone);
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END;
$$;

-- Returns a list of facets with some replaced, sorted by bytes as every such list is, without duplicates.
CREATE OR REPLACE FUNCTION respelled(facets text[], old text[], new text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(array_agg(facet ORDER BY facet COLLATE "C"), '{}')
    FROM (
        SELECT DISTINCT coalesce(new[array_position(old, known)], known) AS facet
        FROM unnest(facets) AS known
    ) AS spelled
$$;
