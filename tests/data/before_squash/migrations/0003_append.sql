-- The one way in. A group of requests goes in by one autocommit call, so no client can hold the feed's lock:
-- whoever freezes, freezes before the call or after it.
--
-- Arrays come in columns: one entry per request, per record that a request looked at, per write, per link,
-- and per answer. `*_request` says to which request an entry belongs. Text of several lines stands for a list.
--
-- Left out, and to be decided again by the caller: requests that looked at a head which has moved since, requests
-- that counted on an article having no other records that cite it, and requests whose id has been answered
-- meanwhile. The others are written, in their order.
--
-- Heads are found by name, always through the primary key: a plan made while the tables were empty must not
-- scan them once they are large.
CREATE FUNCTION append(
    request_number int[], request_author text[], request_id uuid[], request_fingerprint bytea[],
    request_warnings bytea[],
    read_request int[], read_name text[], read_revision bigint[],
    cited_request int[], cited_name text[], cited_count bigint[],
    write_request int[], write_name text[], write_uid uuid[], write_kind text[], write_type text[],
    write_revision bigint[], write_state text[], write_head_state text[], write_state_before text[],
    write_on_wire boolean[], write_content bytea[], write_meta bytea[],
    write_facets text[], write_facets_before text[], write_days daterange[], write_days_before daterange[],
    write_search text[], write_document jsonb[], write_changed_fields text[], write_note text[],
    write_relinks boolean[], write_keys text[], write_original_sha256 text[], write_merged_into text[],
    write_embargo_at timestamptz[],
    link_request int[], link_source text[], link_target text[], link_field text[],
    answer_request int[], answer_name text[], answer_revision bigint[],
    at timestamptz
) RETURNS TABLE (request int, desk_sequence bigint, wire_sequence bigint)
LANGUAGE plpgsql
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
#variable_conflict use_column
DECLARE
    head feed%ROWTYPE;
    left_out int[];
    kept int[];
    desk_count bigint;
    wire_count bigint;
BEGIN
    -- Every statement after this one sees all that is committed, and nothing commits until this call does.
    SELECT * INTO head FROM feed FOR UPDATE;

    SELECT array_agg(DISTINCT seen.request) INTO left_out
    FROM (
        SELECT looked.request
        FROM unnest(read_request, read_name, read_revision) AS looked (request, name, revision)
        LEFT JOIN records ON records.name = looked.name
        WHERE coalesce(records.revision, 0) <> looked.revision
        UNION ALL
        SELECT cited.request
        FROM unnest(cited_request, cited_name, cited_count) AS cited (request, name, count)
        WHERE cited.count <> (
            SELECT count(*)
            FROM links
            JOIN records ON records.name = links.source
            WHERE links.target = cited.name AND links.field = 'evidence.article' AND records.state = 'published')
        UNION ALL
        SELECT asked.number
        FROM unnest(request_number, request_author, request_id) AS asked (number, author, id)
        JOIN requests ON requests.author = asked.author AND requests.id = asked.id
        WHERE requests.accepted_at > at - interval '24 hours'
    ) AS seen;
    left_out := coalesce(left_out, '{}');
    SELECT array_agg(number) INTO kept FROM unnest(request_number) AS number WHERE number <> ALL (left_out);
    IF kept IS NULL THEN
        RETURN;
    END IF;

    WITH numbered AS (
        SELECT
            written.*,
            head.desk_head + row_number() OVER by_order AS desk_sequence,
            CASE WHEN on_wire THEN head.wire_head + count(*) FILTER (WHERE on_wire) OVER by_order END AS wire_sequence
        FROM unnest(
            write_request, write_name, write_kind, write_type, write_revision, write_state, write_state_before,
            write_on_wire, write_content, write_meta, write_facets, write_facets_before,
            write_days, write_days_before, write_changed_fields, write_note, write_merged_into
        ) WITH ORDINALITY AS written (
            request, name, kind, type, revision, state, state_before,
            on_wire, content, meta, facets, facets_before,
            days, days_before, changed_fields, note, merged_into, place)
        WHERE request = ANY (kept)
        WINDOW by_order AS (ORDER BY place)
    )
    INSERT INTO changes (
        desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before,
        content, meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, author,
        accepted_at)
    SELECT
        numbered.desk_sequence, max(numbered.desk_sequence) OVER of_request,
        numbered.wire_sequence, CASE WHEN on_wire THEN max(numbered.wire_sequence) OVER of_request END,
        type, name, kind, revision, state, state_before,
        content, meta, string_to_array(facets, E'\n'), string_to_array(facets_before, E'\n'),
        days, days_before, string_to_array(changed_fields, E'\n'), note, merged_into, request_author[request], at
    FROM numbered
    WINDOW of_request AS (PARTITION BY request);
    GET DIAGNOSTICS desk_count = ROW_COUNT;

    -- An erasure by law reaches back: what earlier revisions said is gone, that they were stays.
    UPDATE changes SET
        content = erased.content, meta = '', facets = '{}', facets_before = '{}', days = NULL, days_before = NULL,
        changed_fields = '{}', note = ''
    FROM unnest(write_request, write_name, write_revision, write_type, write_content)
        AS erased (request, name, revision, type, content)
    WHERE erased.request = ANY (kept) AND erased.type = 'purged'
        AND changes.name = erased.name AND changes.revision < erased.revision;

    -- What was just numbered, found by its place in the log: the writes of kept requests, in order.
    INSERT INTO records AS known (
        name, uid, kind, state, revision, desk_sequence, wire_sequence, facets, days, search, document, keys,
        original_sha256, merged_into, embargo_at)
    SELECT
        written.name, written.uid, written.kind, written.state, written.revision,
        changes.desk_sequence, changes.wire_sequence, changes.facets, changes.days, written.search, written.document,
        string_to_array(written.keys, ' ')::bigint[], written.original_sha256, written.merged_into, written.embargo_at
    FROM (
        SELECT *, head.desk_head + row_number() OVER (ORDER BY place) AS desk_sequence
        FROM unnest(
            write_request, write_name, write_uid, write_kind, write_head_state, write_revision, write_search,
            write_document, write_keys, write_original_sha256, write_merged_into, write_embargo_at
        ) WITH ORDINALITY AS listed (
            request, name, uid, kind, state, revision, search, document, keys, original_sha256, merged_into,
            embargo_at, place)
        WHERE request = ANY (kept)
    ) AS written
    JOIN changes ON changes.desk_sequence = written.desk_sequence
    ON CONFLICT (name) DO UPDATE SET
        state = excluded.state,
        revision = excluded.revision,
        desk_sequence = excluded.desk_sequence,
        wire_sequence = coalesce(excluded.wire_sequence, known.wire_sequence),
        facets = excluded.facets,
        days = excluded.days,
        search = excluded.search,
        document = excluded.document,
        keys = excluded.keys,
        original_sha256 = excluded.original_sha256,
        merged_into = excluded.merged_into,
        embargo_at = excluded.embargo_at;

    DELETE FROM links
    USING unnest(write_request, write_name, write_revision, write_relinks) AS written (request, name, revision, relinks)
    WHERE written.request = ANY (kept) AND relinks AND written.revision > 1 AND links.source = written.name;
    INSERT INTO links (source, target, field)
    SELECT source, target, field
    FROM unnest(link_request, link_source, link_target, link_field) AS linked (request, source, target, field)
    WHERE linked.request = ANY (kept);

    SELECT count(*) INTO wire_count
    FROM unnest(write_request, write_on_wire) AS written (request, on_wire)
    WHERE written.request = ANY (kept) AND on_wire;

    UPDATE feed SET desk_head = head.desk_head + desk_count, wire_head = head.wire_head + wire_count;

    -- Sequences per request; of those that changed nothing, the newest of their records.
    RETURN QUERY
    WITH told AS (
        SELECT
            answered.request,
            array_agg(answered.name ORDER BY place) AS names,
            array_agg(answered.revision ORDER BY place) AS revisions,
            coalesce(max(changes.desk_batch), 0) AS desk_sequence,
            coalesce(max(changes.wire_batch), 0) AS wire_sequence
        FROM unnest(answer_request, answer_name, answer_revision)
            WITH ORDINALITY AS answered (request, name, revision, place)
        LEFT JOIN changes ON changes.name = answered.name AND changes.revision = answered.revision
        WHERE answered.request = ANY (kept)
        GROUP BY answered.request
    ), remembered AS (
        INSERT INTO requests (
            author, id, fingerprint, names, revisions, desk_sequence, wire_sequence, warnings, accepted_at)
        SELECT
            request_author[told.request], request_id[told.request], request_fingerprint[told.request],
            told.names, told.revisions, told.desk_sequence, told.wire_sequence,
            request_warnings[told.request], at
        FROM told
        WHERE request_id[told.request] IS NOT NULL
        ON CONFLICT (author, id) DO UPDATE SET
            fingerprint = excluded.fingerprint,
            names = excluded.names,
            revisions = excluded.revisions,
            desk_sequence = excluded.desk_sequence,
            wire_sequence = excluded.wire_sequence,
            warnings = excluded.warnings,
            accepted_at = excluded.accepted_at
    )
    SELECT told.request, told.desk_sequence, told.wire_sequence FROM told;

    -- One wake-up for the whole group; the payload is the desk's new head.
    PERFORM pg_notify('dateline_feed', (head.desk_head + desk_count)::text);
END;
$$;
