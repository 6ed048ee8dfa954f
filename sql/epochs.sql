-- The identity of the database, and the histories of its feed.

-- Returns the address of the database: cluster, timeline, database, and the object ids of its tables. A restored dump,
-- a promoted standby and a copy in another database have another address, and that is noticed before the first change
-- is numbered there (F6). A copy of a stopped cluster's files has the same one: for that there is `dateline feed fork`.
-- In plpgsql, which keeps its plan: a function in SQL that cannot be inlined is planned at each call, so at each commit.
CREATE OR REPLACE FUNCTION feed_home() RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT concat_ws(
            '/',
            system_identifier,
            left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
            (SELECT oid FROM pg_database WHERE datname = current_database()),
            'feed'::regclass::oid,
            'changes'::regclass::oid)
        FROM pg_control_system()
    );
END;
$$;

-- Returns true if the database has another address than before, if the feed's row was not written by a server, or if
-- the write-ahead log is shorter than it was. The address alone does not reveal a dump that was restored into the
-- tables it came from: for that there is `xmin`, which a dump cannot carry.
CREATE OR REPLACE FUNCTION feed_has_moved() RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN (
        SELECT
            home <> feed_home()
            OR written_by IS DISTINCT FROM xmin
            OR coalesce(written_at > pg_current_wal_insert_lsn(), true)
        FROM feed
    );
END;
$$;

-- Begins a history that shares the changes up to these sequences with those before it. The caller holds the feed's lock.
CREATE OR REPLACE FUNCTION begin_epoch_at(shared_desk bigint, shared_wire bigint) RETURNS void
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

-- Begins a history at the current heads. The caller holds the feed's lock.
CREATE OR REPLACE FUNCTION begin_epoch() RETURNS void
LANGUAGE sql
AS $$
    SELECT begin_epoch_at(desk_head, wire_head) FROM feed
$$;

-- Begins a history if the database has moved, or if its desk head is below one that was seen before. Returns true if it
-- did.
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

-- Begins a history because a server has seen, in the epoch that it knows, other changes than the log has now: both
-- agree up to a desk sequence, and no further. Returns true if it did; false if another epoch has begun since.
CREATE OR REPLACE FUNCTION part_feed(known_epoch bigint, shared bigint) RETURNS boolean
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

-- A new database has no address yet: this is it.
UPDATE feed SET
    home = feed_home(),
    written_by = pg_current_xact_id()::xid,
    written_at = pg_current_wal_insert_lsn()
WHERE home = '';
