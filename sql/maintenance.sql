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
