-- The tallies of the two feeds: counts and digests of what they show (F11). Their form is in migrations/0001_schema.sql.

-- Returns the position of a kind in a tally, from 1.
CREATE OR REPLACE FUNCTION kind_number(kind text) RETURNS int
LANGUAGE sql IMMUTABLE
AS $$ SELECT array_position(ARRAY['article', 'actor', 'relation', 'event'], kind) $$;

-- Computes a tally from the heads in these states: the value that `feed` should hold.
CREATE OR REPLACE FUNCTION counted_tally(states text[]) RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    WITH hashed AS (
        SELECT records.kind, sha256(int8send(records.revision) || CASE WHEN changes.content_at IS NULL THEN changes.content ELSE (
            SELECT kept.content FROM changes AS kept WHERE kept.desk_sequence = changes.content_at)
        END) AS hash
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

-- Returns a tally with amounts added at these positions, which may repeat. Counts are plain sums, words of digests wrap
-- at 2^32. A tally grows by whole kinds. In plpgsql, which keeps its plan: a function in SQL that cannot be inlined is
-- planned at each call, so twice in each commit.
CREATE OR REPLACE FUNCTION added_tally(tally bigint[], places int[], amounts bigint[]) RETURNS bigint[]
LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    sum bigint[] := tally;
    length int := coalesce(array_length(tally, 1), 0);
    wanted int := 0;
    place int;
BEGIN
    FOREACH place IN ARRAY coalesce(places, '{}') LOOP
        wanted := greatest(wanted, (place - 1) / 9 * 9 + 9);
    END LOOP;
    IF wanted > length THEN
        sum := array_cat(sum, array_fill(0::bigint, ARRAY[wanted - length]));
    END IF;
    FOR number IN 1 .. coalesce(array_length(places, 1), 0) LOOP
        place := places[number];
        sum[place] := sum[place] + amounts[number];
        IF place % 9 <> 1 THEN
            sum[place] := sum[place] & 4294967295;
        END IF;
    END LOOP;
    RETURN sum;
END;
$$;

-- Corrects the tallies if they differ from the heads. Returns true if they did. The difference is counted without the
-- feed's lock, which takes as long as hashing every record, and is then added under it: commits add differences too, so
-- it stays what it was, whatever is written meanwhile.
CREATE OR REPLACE FUNCTION correct_tallies() RETURNS boolean
LANGUAGE plpgsql
AS $$
DECLARE
    places int[];
    desk_amounts bigint[];
    wire_amounts bigint[];
    difference text;
BEGIN
    -- One correction at a time: two would add the difference twice.
    PERFORM pg_advisory_xact_lock('feed'::regclass::oid::bigint);
    -- One statement, so that tallies and heads are of one moment.
    WITH counted AS MATERIALIZED (
        SELECT
            counted_tally('{draft,in_review,embargoed,published}') AS desk,
            counted_tally('{published}') AS wire
    )
    SELECT
        array_agg(place),
        array_agg(counted.desk[place] - feed.desk_tally[place]),
        array_agg(counted.wire[place] - feed.wire_tally[place]),
        format(
            'the digests were wrong, and their counts of records by %s in the desk feed and %s in the wire feed',
            coalesce(sum(feed.desk_tally[place] - counted.desk[place]) FILTER (WHERE place % 9 = 1), 0),
            coalesce(sum(feed.wire_tally[place] - counted.wire[place]) FILTER (WHERE place % 9 = 1), 0))
    INTO places, desk_amounts, wire_amounts, difference
    FROM feed
    CROSS JOIN counted
    CROSS JOIN generate_subscripts(feed.desk_tally, 1) AS place
    WHERE counted.desk[place] <> feed.desk_tally[place] OR counted.wire[place] <> feed.wire_tally[place];
    IF places IS NULL THEN
        RETURN false;
    END IF;
    -- Detects a restored database before this update marks the row as written by a server.
    PERFORM settle_feed(0);
    UPDATE feed SET
        written_by = pg_current_xact_id()::xid,
        written_at = pg_current_wal_insert_lsn(),
        desk_tally = added_tally(desk_tally, places, desk_amounts),
        wire_tally = added_tally(wire_tally, places, wire_amounts);
    INSERT INTO audit (at, author, credential, peer, method, outcome, names, types, revisions, details)
    VALUES (clock_timestamp(), session_user, 'none', '', 'CorrectTallies', 'done', '{}', '{}', '{}', difference);
    PERFORM pg_notify('dateline_feed', (SELECT desk_head::text FROM feed));
    RAISE WARNING '%; both are corrected', difference;
    RETURN true;
END;
$$;

-- Versions from before the first release took a deleted draft out of the desk's tally twice when it was erased.
DO $$ BEGIN PERFORM correct_tallies(); END $$;
