-- A dump that is restored into the database it came from, or into its tables, lives at the same address as before: the
-- home of 0005 cannot tell it. What a dump cannot carry along is added: the object ids of the tables; and beside the
-- home, the transaction that wrote the row, which Postgres itself keeps in `xmin`. Whoever puts the row there by other
-- means, a restore or a hand, is noticed. So is write-ahead log that is shorter than it was.

-- By the rule of before, while the function is still there: a database that has moved before it was upgraded.
DO $$
BEGIN
    IF (SELECT home <> feed_home() FROM feed) THEN
        PERFORM begin_epoch();
    END IF;
END;
$$;

CREATE OR REPLACE FUNCTION feed_home() RETURNS text
LANGUAGE sql
AS $$
    SELECT concat_ws(
        '/',
        system_identifier,
        left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        'feed'::regclass::oid,
        'changes'::regclass::oid)
    FROM pg_control_system()
$$;

ALTER TABLE feed
    -- The transaction that wrote this row; of a row that was put here by other means, another one than `xmin`. A rewrite
    -- of the table by VACUUM FULL or CLUSTER, and freezing, leave `xmin` as it is.
    ADD COLUMN written_by xid,
    -- Where the write-ahead log stood then.
    ADD COLUMN written_at pg_lsn;
UPDATE feed SET home = feed_home(), written_by = pg_current_xact_id()::xid, written_at = pg_current_wal_insert_lsn();

-- Whether the database lives elsewhere than it did, or its feed was put there by somebody else than us.
CREATE FUNCTION feed_has_moved() RETURNS boolean
LANGUAGE sql
AS $$
    SELECT
        home <> feed_home()
        OR written_by IS DISTINCT FROM xmin
        OR coalesce(written_at > pg_current_wal_insert_lsn(), true)
    FROM feed
$$;

-- Begins a history that shares with those before it what is up to these sequences. The caller holds the feed's lock.
CREATE FUNCTION begin_epoch_at(shared_desk bigint, shared_wire bigint) RETURNS void
LANGUAGE sql
AS $$
    WITH begun AS (
        INSERT INTO epochs (number, id, desk_head, wire_head)
        SELECT
            (SELECT max(number) + 1 FROM epochs),
            ('x' || left(replace(gen_random_uuid()::text, '-', ''), 15))::bit(60)::bigint,
            shared_desk,
            shared_wire
        RETURNING id
    )
    UPDATE feed SET
        epoch = begun.id,
        home = feed_home(),
        written_by = pg_current_xact_id()::xid,
        written_at = pg_current_wal_insert_lsn()
    FROM begun
$$;

-- Begins a history at the heads as they are. The caller holds the feed's lock.
CREATE OR REPLACE FUNCTION begin_epoch() RETURNS void
LANGUAGE sql
AS $$
    SELECT begin_epoch_at(desk_head, wire_head) FROM feed
$$;

-- As before, by the new rule.
CREATE OR REPLACE FUNCTION settle_feed(known_head bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    head feed%ROWTYPE;
BEGIN
    SELECT * INTO head FROM feed FOR UPDATE;
    IF head.desk_head >= known_head AND NOT feed_has_moved() THEN
        RETURN false;
    END IF;
    PERFORM begin_epoch();
    RETURN true;
END;
$$;

-- Begins a history because somebody has seen, in the history that they know, other changes than there are now: the same
-- up to a sequence of the desk's feed, and no further. Answers whether it did; not if another history has begun since.
CREATE FUNCTION part_feed(known_epoch bigint, shared bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    head feed%ROWTYPE;
BEGIN
    SELECT * INTO head FROM feed FOR UPDATE;
    IF head.epoch <> known_epoch THEN
        RETURN false;
    END IF;
    PERFORM begin_epoch_at(least(shared, head.desk_head), coalesce((
        SELECT wire_sequence
        FROM changes
        WHERE desk_sequence <= shared AND wire_sequence IS NOT NULL
        ORDER BY desk_sequence DESC
        LIMIT 1), 0));
    RETURN true;
END;
$$;

-- `append` asks by the new rule, and writes down that it wrote.
DO $$
DECLARE
    before text := pg_get_functiondef('append'::regproc);
    asking text := replace(before, 'IF head.home <> feed_home() THEN', 'IF feed_has_moved() THEN');
    after text := replace(
        asking,
        'UPDATE feed SET
        desk_head = head.desk_head + desk_count,',
        'UPDATE feed SET
        written_by = pg_current_xact_id()::xid,
        written_at = pg_current_wal_insert_lsn(),
        desk_head = head.desk_head + desk_count,');
BEGIN
    IF asking = before OR after = asking THEN
        RAISE EXCEPTION 'append is not the function that is to be changed';
    END IF;
    EXECUTE after;
END;
$$;
