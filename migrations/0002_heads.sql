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
    -- Folded words, a line each.
    search text NOT NULL,
    -- The content as proto-JSON, for people.
    document jsonb NOT NULL,
    CONSTRAINT records_pkey PRIMARY KEY (name),
    CONSTRAINT records_uid_key UNIQUE (uid),
    CONSTRAINT records_revision_from_1 CHECK (revision >= 1)
);
CREATE INDEX records_facets_idx ON records USING gin (facets);
CREATE INDEX records_days_idx ON records USING gist (days);

-- Who names whom, and in which field: for references at publication, and for looking up who cites a record.
CREATE TABLE links (
    source text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL,
    field text NOT NULL,
    CONSTRAINT links_pkey PRIMARY KEY (source, target, field)
);
CREATE INDEX links_target_idx ON links (target);

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
    accepted_at timestamptz NOT NULL,
    CONSTRAINT requests_pkey PRIMARY KEY (author, id)
);
CREATE INDEX requests_accepted_at_idx ON requests (accepted_at);
