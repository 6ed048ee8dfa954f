-- Where the database lives: which cluster, which of its timelines, which database in it. A dump that was restored,
-- a standby that was promoted and a copy next door live elsewhere, and that is noticed before the first
-- change is numbered there (F6). A copy of a stopped cluster's files lives at the same address: for that there is
-- `dateline feed fork`.
CREATE FUNCTION feed_home() RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(
        '/',
        system_identifier,
        left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()))
    FROM pg_control_system()
$$;

-- The histories of this feed, in order. Each took over at the heads that it found: cursors of an older one are good up
-- to there. An id is drawn by lot, for two restored copies of one database are two histories.
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

ALTER TABLE feed
    ADD COLUMN home text NOT NULL DEFAULT '',
    -- The oldest sequences that a stream can begin with: what came before was dropped, but for the newest revision of
    -- each record as of then.
    ADD COLUMN desk_earliest bigint NOT NULL DEFAULT 1,
    ADD COLUMN wire_earliest bigint NOT NULL DEFAULT 1,
    -- What each feed shows at its head, in numbers (F11): nine for each kind, in the order of their numbers in the schema:
    -- how many records there are, then the eight words of their digest.
    ADD COLUMN desk_tally bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN wire_tally bigint[] NOT NULL DEFAULT '{}';
UPDATE feed SET home = feed_home();

-- Begins a history at the heads as they are. The caller holds the feed's lock.
CREATE FUNCTION begin_epoch() RETURNS void
LANGUAGE sql
AS $$
    WITH begun AS (
        INSERT INTO epochs (number, id, desk_head, wire_head)
        SELECT
            (SELECT max(number) + 1 FROM epochs),
            ('x' || left(replace(gen_random_uuid()::text, '-', ''), 15))::bit(60)::bigint,
            desk_head,
            wire_head
        FROM feed
        RETURNING id
    )
    UPDATE feed SET epoch = begun.id, home = feed_home() FROM begun
$$;

-- Begins a history if the database has moved, or if it has lost what somebody saw: the desk's head is below the
-- one that they know. Answers whether it did.
CREATE FUNCTION settle_feed(known_head bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    head feed%ROWTYPE;
BEGIN
    SELECT * INTO head FROM feed FOR UPDATE;
    IF head.home = feed_home() AND head.desk_head >= known_head THEN
        RETURN false;
    END IF;
    PERFORM begin_epoch();
    RETURN true;
END;
$$;

-- The numbers of a kind in a tally: for filling it, and for people who look.
CREATE FUNCTION kind_number(kind text) RETURNS int
LANGUAGE sql IMMUTABLE
AS $$ SELECT array_position(ARRAY['article', 'actor', 'relation', 'event'], kind) $$;

-- Counts and adds up what a feed shows, from the heads: what `feed` should say.
CREATE FUNCTION counted_tally(states text[]) RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    WITH hashed AS (
        SELECT records.kind, sha256(int8send(records.revision) || changes.content) AS hash
        FROM records
        JOIN changes ON changes.desk_sequence = records.desk_sequence
        WHERE records.state = ANY (states)
    ), summed AS (
        SELECT kind_number(kind) AS kind, 0 AS place, count(*) AS value
        FROM hashed
        GROUP BY kind
        UNION ALL
        SELECT
            kind_number(kind),
            word + 1,
            sum(('x' || encode(substr(hash, word * 4 + 1, 4), 'hex'))::bit(32)::bigint)::bigint & 4294967295
        FROM hashed
        CROSS JOIN generate_series(0, 7) AS word
        GROUP BY kind, word
    )
    SELECT array_agg(coalesce(summed.value, 0) ORDER BY numbered.kind, numbered.place)
    FROM (SELECT kind, place FROM generate_series(1, 4) AS kind, generate_series(0, 8) AS place) AS numbered
    LEFT JOIN summed USING (kind, place)
$$;
UPDATE feed SET
    desk_tally = counted_tally('{draft,in_review,embargoed,published}'),
    wire_tally = counted_tally('{published}');

-- A tally after so many changes to it: places, and what is added there.
CREATE FUNCTION added_tally(tally bigint[], places int[], amounts bigint[]) RETURNS bigint[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg(
        CASE WHEN place % 9 = 1
            THEN coalesce(tally[place], 0) + coalesce(added.amount, 0)
            ELSE (coalesce(tally[place], 0) + coalesce(added.amount, 0)) & 4294967295
        END
        ORDER BY place)
    FROM generate_series(1, greatest(
        array_length(tally, 1), (SELECT max((changed - 1) / 9 * 9 + 9) FROM unnest(places) AS changed))) AS place
    LEFT JOIN (
        SELECT changed AS place, sum(by)::bigint AS amount
        FROM unnest(places, amounts) AS change (changed, by)
        GROUP BY changed
    ) AS added USING (place)
$$;

-- From when on: `min(desk_sequence)` over what was accepted since, without a look at the log itself.
CREATE INDEX changes_accepted_at_idx ON changes (accepted_at) INCLUDE (desk_sequence, wire_sequence);

-- Rows of a part of the log, from `first` to before `ending`, that go when history begins at `point`: a newer revision
-- was there before it, for the desk and, of what readers saw, for readers. Of an article that is cited every revision
-- stays, for evidence names revisions.
CREATE FUNCTION superseded(first bigint, ending bigint, point bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE
AS $$
    SELECT old.desk_sequence
    FROM changes AS old
    WHERE old.desk_sequence >= first AND old.desk_sequence < ending
        AND EXISTS (
            SELECT 1
            FROM changes AS newer
            WHERE newer.name = old.name AND newer.revision > old.revision AND newer.desk_sequence < point
                AND (old.wire_sequence IS NULL OR newer.wire_sequence IS NOT NULL))
        AND NOT EXISTS (
            SELECT 1 FROM links WHERE links.target = old.name AND links.field = 'evidence.article')
$$;
