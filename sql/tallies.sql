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

-- Returns a tally with amounts added at these positions. Counts are plain sums, words of digests wrap at 2^32.
CREATE OR REPLACE FUNCTION added_tally(tally bigint[], places int[], amounts bigint[]) RETURNS bigint[]
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
