-- For people with psql: one view per kind, with the columns that they ask for first. `document` has the rest.
CREATE VIEW articles AS
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
FROM records
WHERE kind = 'article' AND state <> 'deleted';

CREATE VIEW actors AS
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
FROM records
WHERE kind = 'actor' AND state <> 'deleted';

CREATE VIEW relations AS
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
FROM records
WHERE kind = 'relation' AND state <> 'deleted';

CREATE VIEW events AS
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
FROM records
WHERE kind = 'event' AND state <> 'deleted';

COMMENT ON TABLE feed IS 'The feed: its identity and the newest sequences. One row.';
COMMENT ON TABLE changes IS 'The log: every change, in order. The source of truth.';
COMMENT ON TABLE records IS 'The newest revision of each record, and what to find it by.';
COMMENT ON TABLE links IS 'Which record names which, and in which field.';
COMMENT ON TABLE requests IS 'First answers to requests with an id, for 24 hours.';
