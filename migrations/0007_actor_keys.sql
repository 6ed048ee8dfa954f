-- Keys of actors: two actors that may be the same share one. A projection: it follows the log, and no commit writes it.

CREATE TABLE actor_keys (
    name text COLLATE "C" NOT NULL,
    -- Sorts by the time of creation, and never changes.
    uid uuid NOT NULL,
    -- Hashes of keys of all names and identifiers, made by `dateline_match::profile_keys`.
    keys bigint[] NOT NULL,
    CONSTRAINT actor_keys_pkey PRIMARY KEY (name),
    CONSTRAINT actor_keys_uid_key UNIQUE (uid)
);
COMMENT ON TABLE actor_keys IS 'Keys by which actors that may be the same are found; behind the log by what projection_lag says.';
CREATE INDEX actor_keys_keys_idx ON actor_keys USING gin (keys) WITH (fastupdate = off);
INSERT INTO projections (name) VALUES ('actor_keys');
