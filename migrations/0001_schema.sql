-- The schema: tables, indexes and views. Functions stand in sql/, each once; a server applies those files after the
-- numbered migrations when they have changed. The result of both is schema.sql.
--
-- Columns stand in the order in which they were added, so that a database from before this baseline is the same.

-- ---------------------------------------------------------------------------------------------------------------------
-- The feed and its log.

-- The feed: one row. Its lock is the first lock of every writer, so writers queue and never deadlock, and
-- sequences assigned under it are dense and in commit order (F1).
CREATE TABLE feed (
    only_row boolean NOT NULL DEFAULT true,
    -- The identity of this feed. Every cursor carries it, so a cursor of another feed is noticed (F6).
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- The current history of this feed, an `epochs.id`. A restored or copied database begins a new one.
    epoch bigint NOT NULL DEFAULT 1,
    -- The newest sequence of each feed. The desk numbers every change, the wire those that readers see, so
    -- that readers' sequences have no gaps and reveal nothing of unpublished work (F10).
    desk_head bigint NOT NULL DEFAULT 0,
    wire_head bigint NOT NULL DEFAULT 0,
    -- 32 random bytes: the key of the MAC of page tokens, so that a forged one is refused.
    token_key bytea NOT NULL DEFAULT decode(
        replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    -- The address of the database, `feed_home()`, when this row was written. Empty until sql/epochs.sql has been
    -- applied for the first time.
    home text NOT NULL DEFAULT '',
    -- The oldest sequences that a stream can begin with. Older changes were compacted away, except for the newest
    -- revision of each record at that point.
    desk_earliest bigint NOT NULL DEFAULT 1,
    wire_earliest bigint NOT NULL DEFAULT 1,
    -- Counts and digests of what each feed shows at its head (F11): nine numbers for each kind, in the order of the
    -- kinds' numbers in the schema of messages: the count of records, then the eight 32-bit words of their digest.
    desk_tally bigint[] NOT NULL DEFAULT '{}',
    wire_tally bigint[] NOT NULL DEFAULT '{}',
    -- The transaction that wrote this row. It differs from `xmin` if the row was put here by other means, such as a
    -- restore. VACUUM FULL, CLUSTER and freezing leave `xmin` as it is.
    written_by xid,
    -- The position of the write-ahead log at that time.
    written_at pg_lsn,
    -- The version of the rules by which facets of languages are spelled (`lang:he`, not `lang:iw`). The first server
    -- with newer rules respells them. Contents and digests stay as they were written.
    language_spelling int NOT NULL DEFAULT 0,
    CONSTRAINT feed_pkey PRIMARY KEY (only_row),
    CONSTRAINT feed_has_one_row CHECK (only_row)
);
COMMENT ON TABLE feed IS 'The feed: its identity and the newest sequences. One row.';
-- Nothing yet of four kinds.
INSERT INTO feed (desk_tally, wire_tally) VALUES (array_fill(0::bigint, '{36}'), array_fill(0::bigint, '{36}'));

-- The histories of this feed, in order. Each began at the heads that it found: cursors of an older one are valid up
-- to there. Ids after the first are random, because two restored copies of one database are two histories.
CREATE TABLE epochs (
    number bigint NOT NULL,
    id bigint NOT NULL,
    desk_head bigint NOT NULL,
    wire_head bigint NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT epochs_pkey PRIMARY KEY (number),
    CONSTRAINT epochs_id_key UNIQUE (id)
);
INSERT INTO epochs (number, id, desk_head, wire_head) SELECT 1, epoch, 0, 0 FROM feed;

-- The log: every change, and the source of truth. Rows are never updated, except by a purge, which
-- blanks what they say and leaves that they were (W11).
CREATE TABLE changes (
    desk_sequence bigint NOT NULL,
    -- Last desk sequence of the batch: what was committed together.
    desk_batch bigint NOT NULL,
    -- Null for changes that readers do not see.
    wire_sequence bigint,
    wire_batch bigint,
    type text NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    revision bigint NOT NULL,
    state text NOT NULL,
    -- Null for the first revision.
    state_before text,
    -- The encoded message of the kind, without meta: encoded once, and sent as it is ever after.
    content bytea NOT NULL,
    -- The encoded RecordMeta, without the sequence, which depends on the feed that is read.
    meta bytea NOT NULL,
    -- Filter terms before and after, so that leaving a filter is decided without state (F7).
    facets text[] NOT NULL,
    facets_before text[] NOT NULL,
    days daterange,
    days_before daterange,
    changed_fields text[] NOT NULL,
    note text NOT NULL,
    -- The record that took this one's place, on the change that merged it.
    merged_into text COLLATE "C",
    author text NOT NULL,
    accepted_at timestamptz NOT NULL,
    CONSTRAINT changes_pkey PRIMARY KEY (desk_sequence),
    CONSTRAINT changes_wire_sequence_key UNIQUE (wire_sequence),
    CONSTRAINT changes_name_revision_key UNIQUE (name, revision),
    CONSTRAINT changes_sequence_from_1 CHECK (desk_sequence >= 1 AND wire_sequence >= 1),
    CONSTRAINT changes_wire_is_whole CHECK ((wire_sequence IS NULL) = (wire_batch IS NULL)),
    CONSTRAINT changes_batch_not_before CHECK (desk_batch >= desk_sequence AND wire_batch >= wire_sequence)
);
COMMENT ON TABLE changes IS 'The log: every change, in order. The source of truth.';
-- Content stays uncompressed: compressing it would cost time under the feed's lock.
ALTER TABLE changes ALTER COLUMN content SET STORAGE EXTERNAL;
-- For starting at a time: `min(desk_sequence)` over what was accepted since, from the index alone.
CREATE INDEX changes_accepted_at_idx ON changes (accepted_at) INCLUDE (desk_sequence, wire_sequence);

-- ---------------------------------------------------------------------------------------------------------------------
-- What can be rebuilt from the log: the heads and the links between them.

-- The head of each record: the sequence of its newest revision, and its search terms. Content is kept in the
-- log only, at `desk_sequence`. `append` writes both, so no foreign key is needed; one would be
-- checked under the feed's lock. The row of a deleted draft stays, so that its name is never used again (W10).
CREATE TABLE records (
    name text COLLATE "C" NOT NULL,
    uid uuid NOT NULL,
    kind text NOT NULL,
    -- An editorial state, or 'deleted'.
    state text NOT NULL,
    revision bigint NOT NULL,
    desk_sequence bigint NOT NULL,
    -- Of the newest change that readers see; null while there is none.
    wire_sequence bigint,
    facets text[] NOT NULL,
    -- The days on which it may have held or happened; null if it has none.
    days daterange,
    -- Hashes of the record's names, normalised as a reader sees them: records that share one may be the same.
    keys bigint[] NOT NULL,
    -- Articles: SHA-256 of the text as it was received, in hexadecimal, so that no text is imported twice.
    original_sha256 text,
    -- The record that took its place.
    merged_into text COLLATE "C",
    -- Hidden until then; null in other states than 'embargoed'.
    embargo_at timestamptz,
    -- Folded words, one per line.
    search text NOT NULL,
    -- The content as proto-JSON, for people.
    document jsonb NOT NULL,
    CONSTRAINT records_pkey PRIMARY KEY (name),
    CONSTRAINT records_uid_key UNIQUE (uid),
    CONSTRAINT records_revision_from_1 CHECK (revision >= 1)
);
COMMENT ON TABLE records IS 'The newest revision of each record, and what to find it by.';
-- Written under the feed's lock and seldom read: not worth compressing there.
ALTER TABLE records ALTER COLUMN document SET STORAGE EXTERNAL;
ALTER TABLE records ALTER COLUMN search SET STORAGE EXTERNAL;
CREATE INDEX records_facets_idx ON records USING gin (facets);
CREATE INDEX records_days_idx ON records USING gist (days);
-- Read before each write, so it must have no pending list that grows.
CREATE INDEX records_keys_idx ON records USING gin (keys) WITH (fastupdate = off);
CREATE UNIQUE INDEX records_original_sha256_key ON records (original_sha256) WHERE original_sha256 IS NOT NULL;
CREATE INDEX records_merged_into_idx ON records (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX records_embargo_at_idx ON records (embargo_at) WHERE state = 'embargoed';

-- References between records, with the field that holds them: checked at publication, and read to list the records
-- that cite another.
CREATE TABLE links (
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    field text NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (source, target, field)
);
COMMENT ON TABLE links IS 'Which record names which, and in which field.';
-- Lists the records that cite another from the index alone.
CREATE INDEX links_target_idx ON links (target, field, source);

-- ---------------------------------------------------------------------------------------------------------------------
-- Requests, tokens, and the audit.

-- First answers, so that a retry is not a second write (W4). Kept for 24 hours.
CREATE TABLE requests (
    author text NOT NULL,
    id uuid NOT NULL,
    -- SHA-256 of the request: the same id with another body is refused.
    fingerprint bytea NOT NULL,
    -- The answer: the revisions it reported, in the order of the writes, and the last sequences.
    names text[] NOT NULL,
    revisions bigint[] NOT NULL,
    desk_sequence bigint NOT NULL,
    wire_sequence bigint NOT NULL,
    -- An encoded CommitResponse that holds the warnings and nothing else.
    warnings bytea NOT NULL,
    accepted_at timestamptz NOT NULL,
    CONSTRAINT requests_pkey PRIMARY KEY (author, id)
);
COMMENT ON TABLE requests IS 'First answers to requests with an id, for 24 hours.';
CREATE INDEX requests_accepted_at_idx ON requests (accepted_at);

-- API tokens. Only a hash of the secret is kept; the secret is random and long, so a fast hash is enough.
CREATE TABLE tokens (
    -- The public prefix of the token.
    id text COLLATE "C" NOT NULL,
    secret_sha256 bytea NOT NULL,
    -- The author of what is written with it, and the person whose limits count. Unique among valid tokens; one
    -- that has expired or was revoked gives its name back.
    name text NOT NULL,
    roles text[] NOT NULL,
    -- Facets to which the token is restricted; empty for no restriction.
    scope text[] NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    -- Set when the name of an expired token is wanted again, because an index cannot compare with the clock.
    lapsed boolean NOT NULL DEFAULT false,
    CONSTRAINT tokens_pkey PRIMARY KEY (id),
    CONSTRAINT tokens_has_a_role CHECK (cardinality(roles) >= 1),
    CONSTRAINT tokens_secret_is_a_hash CHECK (octet_length(secret_sha256) = 32)
);
CREATE UNIQUE INDEX tokens_name_key ON tokens (name) WHERE revoked_at IS NULL AND NOT lapsed;

-- The audit: every request that changed something, in the transaction that changed it; every administrative act; a
-- sample of what was denied for lack of a role. Never content.
CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    author text NOT NULL,
    credential text NOT NULL,
    peer text NOT NULL,
    method text NOT NULL,
    request_id uuid,
    -- 'done', or the reason of the denial.
    outcome text NOT NULL,
    names text[] COLLATE "C" NOT NULL,
    types text[] NOT NULL,
    revisions bigint[] NOT NULL,
    -- Of the last change; null if there was none.
    desk_sequence bigint,
    -- Arguments of administrative acts.
    details text NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (number)
);
CREATE INDEX audit_at_idx ON audit USING brin (at);
CREATE INDEX audit_names_idx ON audit USING gin (names);

-- Refuses updates and deletions, even by mistake. The owner of the table can drop the trigger; see THREAT-MODEL.md.
-- Of all functions only this one stands here, because the trigger needs it.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only added to';
END;
$$;
CREATE TRIGGER audit_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---------------------------------------------------------------------------------------------------------------------
-- For people with psql: one view per kind, with its most wanted columns first. `document` has the rest.
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

