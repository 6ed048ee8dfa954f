-- Search: a projection with the words of each record. It needs no extension: words with errors and other ways of writing
-- are found by hashes, which are faster than trigrams and do not depend on the locale of the database.

-- A projection may end before the head of the feed: one that makes rows again beside the one that follows.
ALTER TABLE projections ADD COLUMN until bigint;
COMMENT ON COLUMN projections.until IS 'The sequence at which it ends; null for one that follows the feed.';
INSERT INTO projections (name, until) VALUES ('search', NULL), ('search_rebuild', 0);

CREATE OR REPLACE VIEW projection_lag AS
SELECT
    projections.name,
    projections.version,
    greatest(coalesce(projections.until, feed.desk_head) - projections.position, 0) AS changes_behind,
    CASE
        WHEN coalesce(projections.until, feed.desk_head) > projections.position THEN greatest(
            clock_timestamp() - (
                SELECT changes.accepted_at
                FROM changes
                WHERE changes.desk_sequence > projections.position
                ORDER BY changes.desk_sequence
                LIMIT 1),
            '0')
        ELSE '0'
    END AS behind
FROM projections
CROSS JOIN feed;

-- One row for each record that is not deleted. A record is found by it while its content is the present one: at the
-- sequence of the change that brought it, or later.
CREATE TABLE search (
    name text COLLATE "C" NOT NULL,
    desk_sequence bigint NOT NULL,
    -- The text search configuration of its language, for the stems of a query.
    configuration text COLLATE "C",
    words tsvector NOT NULL,
    -- Names in Latin letters, one a line, for the ranking.
    names text NOT NULL,
    -- Hashes of the words of names, with errors.
    typos int[] NOT NULL,
    CONSTRAINT search_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE search IS 'The words of each record, for SearchRecords; behind the log by what projection_lag says.';
CREATE INDEX search_words_idx ON search USING gin (words) WITH (gin_pending_list_limit = 512);
CREATE INDEX search_typos_idx ON search USING gin (typos) WITH (gin_pending_list_limit = 512);
-- Which configurations are in use.
CREATE INDEX search_configuration_idx ON search (configuration);
