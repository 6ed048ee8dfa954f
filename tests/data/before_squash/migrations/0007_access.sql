-- API tokens. Of the secret only a hash is kept; it is random and long, so a fast one will do.
CREATE TABLE tokens (
    -- What a token begins with, to tell it from others.
    id text COLLATE "C" NOT NULL,
    secret_sha256 bytea NOT NULL,
    -- The author of what is written with it.
    name text NOT NULL,
    roles text[] NOT NULL,
    -- Facets to which it is narrowed; everything if there is none.
    scope text[] NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT tokens_pkey PRIMARY KEY (id),
    CONSTRAINT tokens_has_a_role CHECK (cardinality(roles) >= 1),
    CONSTRAINT tokens_secret_is_a_hash CHECK (octet_length(secret_sha256) = 32)
);

-- What was done: every request that changed something, in the transaction that changed it; every act of an operator; a
-- sample of what was refused for want of a role. Never content.
CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    author text NOT NULL,
    credential text NOT NULL,
    peer text NOT NULL,
    method text NOT NULL,
    request_id uuid,
    -- 'done', or the reason of the refusal.
    outcome text NOT NULL,
    names text[] COLLATE "C" NOT NULL,
    types text[] NOT NULL,
    revisions bigint[] NOT NULL,
    -- Of the last change; null if there was none.
    desk_sequence bigint,
    -- Of acts of operators: what was asked for.
    details text NOT NULL,
    CONSTRAINT audit_pkey PRIMARY KEY (number)
);
CREATE INDEX audit_at_idx ON audit USING brin (at);
CREATE INDEX audit_names_idx ON audit USING gin (names);

-- Not even by mistake. Whoever owns the table can drop the trigger; see THREAT-MODEL.md.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only added to';
END;
$$;
CREATE TRIGGER audit_is_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
