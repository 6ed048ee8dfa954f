-- The feed: one row. Its lock is the first lock of every writer, so writers queue and never deadlock, and
-- whatever they number under it is dense and in the order of commits (F1).
CREATE TABLE feed (
    only_row boolean NOT NULL DEFAULT true,
    -- Which feed this is. Every cursor carries it, so a cursor of another feed is noticed (F6).
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    -- Which history of this feed. A restored or copied database begins a new one.
    epoch bigint NOT NULL DEFAULT 1,
    -- The newest sequence of each feed. The desk numbers every change, the wire those that readers see, so
    -- that readers' numbers have no holes and tell nothing of unpublished work (F10).
    desk_head bigint NOT NULL DEFAULT 0,
    wire_head bigint NOT NULL DEFAULT 0,
    -- Seals page tokens, so that a forged one is refused.
    token_key bytea NOT NULL DEFAULT decode(
        replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'),
    CONSTRAINT feed_pkey PRIMARY KEY (only_row),
    CONSTRAINT feed_has_one_row CHECK (only_row)
);
INSERT INTO feed DEFAULT VALUES;

-- The log: every change there ever was, and the source of truth. Rows are never updated, but for a purge, which
-- blanks what they say and leaves that they were (W11).
CREATE TABLE changes (
    desk_sequence bigint NOT NULL,
    -- Last desk sequence of the batch: what was committed together.
    desk_batch bigint NOT NULL,
    -- Only for changes that readers see.
    wire_sequence bigint,
    wire_batch bigint,
    type text NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    revision bigint NOT NULL,
    state text NOT NULL,
    -- Null for the first revision.
    state_before text,
    -- The encoded message of the kind, without meta: encoded once, passed on as it is ever after.
    content bytea NOT NULL,
    -- The encoded RecordMeta, without the sequence, which depends on the feed that is read.
    meta bytea NOT NULL,
    -- What filters look at, before and after, so that leaving a filter is decided without state (F7).
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
-- Content is kept as it is: compressing it would be paid for under the feed's lock.
ALTER TABLE changes ALTER COLUMN content SET STORAGE EXTERNAL;
