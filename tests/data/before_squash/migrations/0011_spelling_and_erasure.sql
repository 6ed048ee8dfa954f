-- Facets of languages are in canonical spelling (`lang:he`, not `lang:iw`). Those that were written before are respelled
-- by the first server that starts, which knows the registry; here it notes down by which rules they are spelled. Contents
-- stay as they were written, and so do digests.
ALTER TABLE feed ADD COLUMN language_spelling int NOT NULL DEFAULT 0;

-- A merge writes its note to both records. Of records that were erased before, the note of the other one goes too.
UPDATE changes AS copy
SET note = ''
FROM changes AS erased
WHERE erased.meta = '' AND copy.meta <> '' AND copy.note <> '' AND copy.name <> erased.name
    AND copy.desk_sequence BETWEEN erased.desk_batch - 10000 AND erased.desk_batch AND copy.desk_batch = erased.desk_batch
    AND (
        -- The record that took its place.
        (erased.type = 'merged' AND copy.name = erased.merged_into)
        -- Those whose place it took.
        OR (copy.type = 'merged' AND copy.merged_into = erased.name)
        -- A merge that was undone.
        OR (erased.type = 'unmerged' AND copy.type = 'corrected' AND copy.changed_fields = '{meta.merged_from}')
        OR (erased.type = 'corrected' AND copy.type = 'unmerged'));

-- A list of facets with some replaced, sorted by its bytes as all of them are, each once.
CREATE FUNCTION respelled(facets text[], old text[], new text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT coalesce(array_agg(facet ORDER BY facet COLLATE "C"), '{}')
    FROM (
        SELECT DISTINCT coalesce(new[array_position(old, known)], known) AS facet
        FROM unnest(facets) AS known
    ) AS spelled
$$;
