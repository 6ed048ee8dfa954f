-- Projections: tables that are made from the log, behind the commits. A server reads the changes after a projection's
-- position in large groups, and writes their rows and the position together. The first projection is the document of
-- each record, for people with psql, which every commit wrote before.

CREATE TABLE projections (
    name text COLLATE "C" NOT NULL,
    -- The version of the code that makes the rows; 0 before the first. A server with a later one begins again.
    version int NOT NULL DEFAULT 0,
    -- The feed's epoch when the projection began. In another one the log may be another: it begins again.
    epoch bigint NOT NULL DEFAULT 0,
    -- The last desk sequence whose change is projected.
    position bigint NOT NULL DEFAULT 0,
    -- The server that works on it, and until when others leave it alone.
    worker uuid,
    worker_until timestamptz NOT NULL DEFAULT '-infinity',
    CONSTRAINT projections_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE projections IS 'Tables that follow the log, and how far they have come.';
INSERT INTO projections (name) VALUES ('documents');

-- One row for each record that is not deleted: a revision with its content as proto-JSON. All columns are of the same
-- revision, so that no state stands beside the text of another one.
CREATE TABLE documents (
    name text COLLATE "C" NOT NULL,
    uid uuid NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    revision bigint NOT NULL,
    desk_sequence bigint NOT NULL,
    wire_sequence bigint,
    days daterange,
    document jsonb NOT NULL,
    CONSTRAINT documents_pkey PRIMARY KEY (name)
);
COMMENT ON TABLE documents IS 'The content of each record, for people; behind the log by what projection_lag says.';

-- How far each projection is behind: in changes, and in time since the first of them was accepted.
CREATE VIEW projection_lag AS
SELECT
    projections.name,
    projections.version,
    greatest(feed.desk_head - projections.position, 0) AS changes_behind,
    CASE
        WHEN feed.desk_head > projections.position THEN greatest(
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

-- The views keep their names and columns; views of other people on them stay.
CREATE OR REPLACE VIEW articles AS
SELECT
    name,
    state,
    revision,
    document ->> 'headline' AS headline,
    document ->> 'languageCode' AS language,
    document -> 'published' ->> 'edtf' AS published,
    jsonb_array_length(coalesce(document -> 'mentions', '[]')) AS mentions,
    left(document ->> 'body', 80) AS body_begins,
    uid,
    desk_sequence,
    wire_sequence,
    document
FROM documents
WHERE kind = 'article';

CREATE OR REPLACE VIEW actors AS
SELECT
    name,
    state,
    revision,
    lower(replace(document ->> 'type', 'TYPE_', '')) AS type,
    document ->> 'displayName' AS display_name,
    document ->> 'regionCode' AS region,
    document ->> 'description' AS description,
    jsonb_array_length(coalesce(document -> 'evidence', '[]')) AS evidence,
    uid,
    desk_sequence,
    wire_sequence,
    document
FROM documents
WHERE kind = 'actor';

CREATE OR REPLACE VIEW relations AS
SELECT
    name,
    state,
    revision,
    document ->> 'subject' AS subject,
    lower(replace(document ->> 'type', 'TYPE_', '')) AS type,
    document ->> 'object' AS object,
    document ->> 'roleTitle' AS role_title,
    lower(days) AS first_day,
    upper(days) - 1 AS last_day,
    jsonb_array_length(coalesce(document -> 'evidence', '[]')) AS evidence,
    uid,
    desk_sequence,
    wire_sequence,
    document
FROM documents
WHERE kind = 'relation';

CREATE OR REPLACE VIEW events AS
SELECT
    name,
    state,
    revision,
    lower(replace(document ->> 'type', 'TYPE_', '')) AS type,
    lower(replace(document ->> 'status', 'STATUS_', '')) AS status,
    document ->> 'displayName' AS display_name,
    lower(days) AS first_day,
    upper(days) - 1 AS last_day,
    ARRAY(
        SELECT coalesce(participant ->> 'actor', participant ->> 'displayName')
        FROM jsonb_array_elements(document -> 'participants') AS participant
    ) AS participants,
    document -> 'places' -> 0 ->> 'displayName' AS place,
    jsonb_array_length(coalesce(document -> 'evidence', '[]')) AS evidence,
    uid,
    desk_sequence,
    wire_sequence,
    document
FROM documents
WHERE kind = 'event';

ALTER TABLE records DROP COLUMN document;
