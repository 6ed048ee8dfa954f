-- The log stores a content once: a change that leaves the content of its record as it is points at the row that has it.
-- And it commits to what readers get: see "The log" in ARCHITECTURE.md. Rows from before have no commitment.

ALTER TABLE changes
    ADD COLUMN content_at bigint,
    ADD COLUMN previous bigint,
    ADD COLUMN commitment bytea,
    ADD COLUMN salt bytea;
-- Random bytes cannot be compressed.
ALTER TABLE changes ALTER COLUMN salt SET STORAGE PLAIN, ALTER COLUMN commitment SET STORAGE PLAIN;
COMMENT ON COLUMN changes.content IS 'The encoded message of the kind, without meta; empty where content_at says where it is.';
COMMENT ON COLUMN changes.content_at IS 'The desk sequence of the earlier row of the same record that has the content.';
COMMENT ON COLUMN changes.previous IS 'The wire sequence of the change of the same record before this one.';
COMMENT ON COLUMN changes.commitment IS 'SHA-256 of the statement of the change, for changes on the wire.';
COMMENT ON COLUMN changes.salt IS 'The random part of the statement; erased with the content.';

-- Contents that are equal to those of the revision before: they are in the first row of their run. An erased revision
-- holds the name alone, and stays.
WITH compared AS (
    SELECT
        desk_sequence, name, revision,
        content IS NOT DISTINCT FROM lag(content) OVER of_record AND type <> 'purged' AS is_equal
    FROM changes
    WINDOW of_record AS (PARTITION BY name ORDER BY revision)
), runs AS (
    SELECT
        desk_sequence, is_equal,
        max(desk_sequence) FILTER (WHERE NOT is_equal)
            OVER (PARTITION BY name ORDER BY revision) AS content_at
    FROM compared
)
UPDATE changes SET content = '', content_at = runs.content_at
FROM runs
WHERE runs.is_equal AND changes.desk_sequence = runs.desk_sequence;

-- The partition of consumers: any client can compute it from the name. This writes the table anew, and without the room
-- that the contents took.
ALTER TABLE changes
    ADD COLUMN slot smallint NOT NULL GENERATED ALWAYS AS (get_byte(sha256(decode(name, 'escape')), 0)) STORED,
    ADD CONSTRAINT changes_content_is_in_one_place CHECK (content_at IS NULL OR content = '' AND content_at < desk_sequence),
    ADD CONSTRAINT changes_commitment_is_on_the_wire CHECK (commitment IS NULL OR wire_sequence IS NOT NULL);
COMMENT ON COLUMN changes.slot IS 'The first byte of the SHA-256 of the name.';

-- Equal keys are stored once in an index that is not unique: the names of a source, or of a target, are long.
ALTER TABLE links DROP CONSTRAINT links_pkey;
DROP INDEX links_target_idx;
CREATE INDEX links_source_idx ON links (source);
CREATE INDEX links_target_idx ON links (target, field);
