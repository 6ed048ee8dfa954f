-- The head of each record: where to find its newest revision, and what to find it by. Content lies in the
-- log only, at `desk_sequence`; that it is there is by construction, for `append` writes both, and a foreign key
-- would be checked under the feed's lock. The row of a deleted draft stays, so that its name is never used again (W10).
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
    -- Hashes of what it is called, as it looks to a reader: who shares one may be the same.
    keys bigint[] NOT NULL,
    -- Articles: SHA-256 of the text as it was received, so that nothing is taken in twice.
    original_sha256 text,
    -- The record that took its place.
    merged_into text COLLATE "C",
    -- Hidden until then.
    embargo_at timestamptz,
    -- Folded words, a line each.
    search text NOT NULL,
    -- The content as proto-JSON, for people.
    document jsonb NOT NULL,
    CONSTRAINT records_pkey PRIMARY KEY (name),
    CONSTRAINT records_uid_key UNIQUE (uid),
    CONSTRAINT records_revision_from_1 CHECK (revision >= 1)
);
-- Written under the feed's lock, and read by few: not the time to compress anything.
ALTER TABLE records ALTER COLUMN document SET STORAGE EXTERNAL;
ALTER TABLE records ALTER COLUMN search SET STORAGE EXTERNAL;
CREATE INDEX records_facets_idx ON records USING gin (facets);
CREATE INDEX records_days_idx ON records USING gist (days);
-- Looked into before each write, so nothing may pile up in front of it.
CREATE INDEX records_keys_idx ON records USING gin (keys) WITH (fastupdate = off);
CREATE UNIQUE INDEX records_original_sha256_key ON records (original_sha256) WHERE original_sha256 IS NOT NULL;
CREATE INDEX records_merged_into_idx ON records (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX records_embargo_at_idx ON records (embargo_at) WHERE state = 'embargoed';

-- Who names whom, and in which field: for references at publication, and for looking up who cites a record.
CREATE TABLE links (
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    field text NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (source, target, field)
);
-- Who cites a record, and in which field, without a look at the table.
CREATE INDEX links_target_idx ON links (target, field, source);

-- First answers, so that a retry is not a second write (W4). Kept for 24 hours.
CREATE TABLE requests (
    author text NOT NULL,
    id uuid NOT NULL,
    -- SHA-256 of the request: the same id with another body is refused.
    fingerprint bytea NOT NULL,
    -- The answer: which revisions it told of, in the order of the writes, and the last sequences.
    names text[] NOT NULL,
    revisions bigint[] NOT NULL,
    desk_sequence bigint NOT NULL,
    wire_sequence bigint NOT NULL,
    -- What looked wrong; an encoded CommitResponse with nothing else in it.
    warnings bytea NOT NULL,
    accepted_at timestamptz NOT NULL,
    CONSTRAINT requests_pkey PRIMARY KEY (author, id)
);
CREATE INDEX requests_accepted_at_idx ON requests (accepted_at);
