-- The tallies of the two feeds: counts and digests of what they show (F11). Their form is in migrations/0001_schema.sql.

-- Returns the position of a kind in a tally, from 1.
CREATE OR REPLACE FUNCTION kind_number(kind text) RETURNS int
LANGUAGE sql IMMUTABLE
AS $$ SELECT array_position(ARRAY['article', 'actor', 'relation', 'event'], kind) $$;

-- Computes a tally from the heads in these states: the value that `feed` should hold. For tests and for people who
-- check.
CREATE OR REPLACE FUNCTION counted_tally(states text[]) RETURNS bigint[]
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
