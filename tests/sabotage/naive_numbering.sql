-- Numbers drawn from a sequence before the commit, as an identity column does, and no lock on the feed: the
-- order of numbers is not the order of commits.
CREATE SEQUENCE naive_desk;
CREATE SEQUENCE naive_wire;
-- As many numbers as asked for, in a row; answers the one before the first.
CREATE FUNCTION draw(numbers regclass, count bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
BEGIN
    IF count = 0 THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_lock(1);
    first := nextval(numbers);
    PERFORM nextval(numbers) FROM generate_series(2, count);
    PERFORM pg_advisory_unlock(1);
    RETURN first - 1;
END;
$$;
DO $$
DECLARE
    definition text := pg_get_functiondef('append'::regproc);
BEGIN
    definition := replace(definition, 'SELECT * INTO head FROM feed FOR UPDATE;', 'SELECT * INTO head FROM feed;');
    definition := replace(definition, 'IF kept IS NULL THEN', 'SELECT
            draw(''naive_desk'', count(*)), draw(''naive_wire'', count(*) FILTER (WHERE on_wire))
        INTO head.desk_head, head.wire_head
        FROM unnest(write_request, write_on_wire) AS written (request, on_wire)
        WHERE written.request = ANY (kept);
    IF kept IS NULL THEN');
    definition := replace(definition,
        'desk_head = head.desk_head + desk_count, wire_head = head.wire_head + wire_count',
        'desk_head = greatest(desk_head, head.desk_head + desk_count),
         wire_head = greatest(wire_head, head.wire_head + wire_count)');
    EXECUTE definition;
END;
$$;
