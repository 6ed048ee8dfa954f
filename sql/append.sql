-- The only function that writes records and the log.

-- Whatever arguments an earlier version took, it goes: two functions of this name must never be there at once.
DROP FUNCTION IF EXISTS append;

-- Writes a group of requests. One call is one transaction (autocommit), so a client that freezes before or after it
-- never holds the feed's lock.
--
-- The arguments are columns: one array for each column of the requests, of the revisions that they have read, of the
-- counts of citations that they rely on, of their writes, and so on; src/store/group.rs has a row of each kind.
-- `*_request` is the position of a request, from 1. A text of several lines, or of several numbers, is a list. They are
-- not arrays of composite types, because connections know such types by object ids, and these change when a dump is
-- restored under a running server.
--
-- Leaves out requests that the caller has to decide again: those that read a head which has changed since, those
-- that relied on a count of records that cite an article, and those whose id has been answered meanwhile. Writes the
-- others in their order, and returns one row for each.
--
-- Heads are found by name, always through the primary key: a plan made while the tables were empty must not
-- scan them once they are large.
CREATE FUNCTION append(
    request_author text[], request_credential text[], request_peer text[], request_method text[], request_id uuid[],
    request_fingerprint bytea[], request_warnings bytea[],
    read_request int[], read_name text[], read_revision bigint[],
    citation_request int[], citation_name text[], citation_citing bigint[],
    write_request int[], write_name text[], write_uid uuid[], write_kind text[], write_change_type text[],
    write_revision bigint[], write_state text[], write_head_state text[], write_state_before text[],
    write_on_wire boolean[], write_keeps_content boolean[], write_content bytea[], write_meta bytea[], write_facets text[],
    write_facets_before text[], write_days daterange[], write_days_before daterange[],
    write_changed_fields text[], write_note text[], write_previous bigint[], write_commitment bytea[],
    write_salt bytea[], write_keys text[],
    write_original_sha256 text[], write_merged_into text[], write_embargo_at timestamptz[],
    relinked_request int[], relinked_name text[],
    link_request int[], link_source text[], link_target text[], link_field text[],
    answer_request int[], answer_name text[], answer_revision bigint[],
    tally_request int[], tally_on_wire boolean[], tally_place int[], tally_amount bigint[],
    blank_request int[], blank_name text[], blank_revision bigint[], blank_meta bytea[],
    known_feed uuid, at timestamptz
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
    -- Every statement after this one sees all that is committed, and no other writer commits before this call ends.
    SELECT * INTO head FROM feed FOR UPDATE;
    IF feed_has_moved() THEN
        PERFORM begin_epoch();
    END IF;
    -- The commitments name the feed. If it became another one meanwhile, everything is decided again.
    IF head.id <> known_feed THEN
        RETURN;
    END IF;

    SELECT array_agg(DISTINCT seen.request) INTO left_out
    FROM (
        SELECT looked.request
        FROM unnest(read_request, read_name, read_revision) AS looked (request, name, revision)
        LEFT JOIN records ON records.name = looked.name
        WHERE coalesce(records.revision, 0) <> looked.revision
        UNION ALL
        SELECT cited.request
        FROM unnest(citation_request, citation_name, citation_citing) AS cited (request, name, citing)
        WHERE cited.citing <> (
            SELECT count(*)
            FROM links
            JOIN records ON records.name = links.source
            WHERE links.target = cited.name AND links.field = 'evidence.article' AND records.state = 'published')
        UNION ALL
        SELECT asked.number
        FROM unnest(request_author, request_id) WITH ORDINALITY AS asked (author, id, number)
        JOIN requests AS answered ON answered.author = asked.author AND answered.id = asked.id
        WHERE answered.accepted_at > at - interval '24 hours'
    ) AS seen;
    left_out := coalesce(left_out, '{}');
    SELECT array_agg(number) INTO kept
    FROM generate_series(1, cardinality(request_author)) AS number
    WHERE number <> ALL (left_out);
    IF kept IS NULL THEN
        RETURN;
    END IF;

    WITH numbered AS (
        SELECT
            written.*,
            head.desk_head + row_number() OVER by_order AS desk_sequence,
            CASE WHEN on_wire THEN head.wire_head + count(*) FILTER (WHERE on_wire) OVER by_order END AS wire_sequence
        FROM unnest(
            write_request, write_name, write_kind, write_change_type, write_revision, write_state, write_state_before,
            write_on_wire, write_keeps_content, write_content, write_meta, write_facets, write_facets_before,
            write_days, write_days_before, write_changed_fields, write_note, write_merged_into,
            write_previous, write_commitment, write_salt
        ) WITH ORDINALITY AS written (
            request, name, kind, change_type, revision, state, state_before,
            on_wire, keeps_content, content, meta, facets, facets_before,
            days, days_before, changed_fields, note, merged_into, previous, commitment, salt, place)
        WHERE request = ANY (kept)
        WINDOW by_order AS (ORDER BY place)
    ), logged AS (
        INSERT INTO changes (
            desk_sequence, desk_batch, wire_sequence, wire_batch, type, name, kind, revision, state, state_before,
            content, meta, facets, facets_before, days, days_before, changed_fields, note, merged_into, author,
            accepted_at, content_at, previous, commitment, salt)
        SELECT
            numbered.desk_sequence, max(numbered.desk_sequence) OVER of_request,
            numbered.wire_sequence, CASE WHEN on_wire THEN max(numbered.wire_sequence) OVER of_request END,
            change_type, name, kind, revision, state, state_before,
            content, meta, string_to_array(facets, E'\n'), string_to_array(facets_before, E'\n'),
            days, days_before, string_to_array(changed_fields, E'\n'), note, merged_into, request_author[request], at,
            -- Content that stays is where the newest revision has it. Looked up here, since compaction may move it.
            CASE WHEN keeps_content THEN (
                SELECT coalesce(newest.content_at, newest.desk_sequence)
                FROM records
                JOIN changes AS newest ON newest.desk_sequence = records.desk_sequence
                WHERE records.name = numbered.name)
            END,
            previous, commitment, salt
        FROM numbered
        WINDOW of_request AS (PARTITION BY request)
        RETURNING changes.wire_sequence
    )
    SELECT count(*), count(wire_sequence) INTO desk_count, wire_count FROM logged;

    -- A purge erases the content of earlier revisions, and its notes in other records. It keeps their rows and
    -- commitments; without the salt a commitment cannot be compared with what was perhaps said. This and
    -- what follows is left out where there is nothing to do: starting a statement costs more than the question.
    IF 'purged' = ANY (write_change_type) THEN
        UPDATE changes SET
            content = erased.content, content_at = NULL, salt = NULL, meta = '', facets = '{}', facets_before = '{}', days = NULL, days_before = NULL,
            changed_fields = '{}', note = ''
        FROM changes AS erased
        WHERE erased.desk_sequence > head.desk_head AND erased.type = 'purged'
            AND changes.name = erased.name AND changes.revision < erased.revision;
        PERFORM erase_projected(ARRAY(
            SELECT changes.name
            FROM changes
            WHERE changes.desk_sequence > head.desk_head AND changes.type = 'purged'));
    END IF;
    IF cardinality(blank_request) > 0 THEN
        UPDATE changes SET note = '', meta = blank.meta, salt = NULL
        FROM unnest(blank_request, blank_name, blank_revision, blank_meta) AS blank (request, name, revision, meta)
        WHERE blank.request = ANY (kept) AND changes.name = blank.name AND changes.revision = blank.revision;
    END IF;

    -- The writes of kept requests in order, each joined to the change that was just numbered for it.
    INSERT INTO records AS known (
        name, uid, kind, state, revision, desk_sequence, wire_sequence, facets, days, keys,
        original_sha256, merged_into, embargo_at)
    SELECT
        written.name, written.uid, written.kind, written.head_state, written.revision,
        changes.desk_sequence, changes.wire_sequence, changes.facets, changes.days,
        string_to_array(written.keys, ' ')::bigint[], written.original_sha256, written.merged_into, written.embargo_at
    FROM (
        SELECT *, head.desk_head + row_number() OVER (ORDER BY place) AS desk_sequence
        FROM unnest(
            write_request, write_name, write_uid, write_kind, write_head_state, write_revision,
            write_keys, write_original_sha256, write_merged_into, write_embargo_at
        ) WITH ORDINALITY AS listed (
            request, name, uid, kind, head_state, revision, keys, original_sha256, merged_into, embargo_at, place)
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
        keys = excluded.keys,
        original_sha256 = excluded.original_sha256,
        merged_into = excluded.merged_into,
        embargo_at = excluded.embargo_at;

    IF cardinality(relinked_request) > 0 THEN
        DELETE FROM links
        USING unnest(relinked_request, relinked_name) AS source (request, name)
        WHERE source.request = ANY (kept) AND links.source = source.name;
    END IF;
    IF cardinality(link_request) > 0 THEN
        INSERT INTO links (source, target, field)
        SELECT DISTINCT source, target, field
        FROM unnest(link_request, link_source, link_target, link_field) AS linked (request, source, target, field)
        WHERE linked.request = ANY (kept);
    END IF;

    UPDATE feed SET
        written_by = pg_current_xact_id()::xid,
        written_at = pg_current_wal_insert_lsn(),
        desk_head = head.desk_head + desk_count,
        wire_head = head.wire_head + wire_count,
        desk_tally = added_tally(head.desk_tally, added.desk_places, added.desk_amounts),
        wire_tally = added_tally(head.wire_tally, added.wire_places, added.wire_amounts)
    FROM (
        SELECT
            array_agg(place) FILTER (WHERE NOT on_wire) AS desk_places,
            array_agg(amount) FILTER (WHERE NOT on_wire) AS desk_amounts,
            array_agg(place) FILTER (WHERE on_wire) AS wire_places,
            array_agg(amount) FILTER (WHERE on_wire) AS wire_amounts
        FROM unnest(tally_request, tally_on_wire, tally_place, tally_amount) AS tally (request, on_wire, place, amount)
        WHERE request = ANY (kept)
    ) AS added;

    -- The sequences of each request; if it changed nothing, the newest ones of its records. The answer is kept for
    -- retries, and what was changed is audited.
    RETURN QUERY
    WITH told AS (
        SELECT
            answered.request,
            array_agg(answered.name ORDER BY place) AS names,
            array_agg(answered.revision ORDER BY place) AS revisions,
            array_agg(answered.name ORDER BY place) FILTER (WHERE is_new) AS new_names,
            array_agg(answered.revision ORDER BY place) FILTER (WHERE is_new) AS new_revisions,
            array_agg(changes.type ORDER BY place) FILTER (WHERE is_new) AS new_types,
            coalesce(max(changes.desk_batch), 0) AS desk_sequence,
            coalesce(max(changes.wire_batch), 0) AS wire_sequence
        FROM unnest(answer_request, answer_name, answer_revision)
            WITH ORDINALITY AS answered (request, name, revision, place)
        LEFT JOIN changes ON changes.name = answered.name AND changes.revision = answered.revision
        CROSS JOIN LATERAL (SELECT changes.desk_sequence > head.desk_head AS is_new) AS age
        WHERE answered.request = ANY (kept)
        GROUP BY answered.request
    ), asked AS (
        SELECT *
        FROM unnest(
            request_author, request_credential, request_peer, request_method, request_id, request_fingerprint,
            request_warnings
        ) WITH ORDINALITY AS listed (author, credential, peer, method, id, fingerprint, warnings, request)
    ), remembered AS (
        INSERT INTO requests (
            author, id, fingerprint, names, revisions, desk_sequence, wire_sequence, warnings, accepted_at)
        SELECT
            asked.author, asked.id, asked.fingerprint, told.names, told.revisions, told.desk_sequence,
            told.wire_sequence, asked.warnings, at
        FROM told
        JOIN asked USING (request)
        WHERE asked.id IS NOT NULL
        ON CONFLICT (author, id) DO UPDATE SET
            fingerprint = excluded.fingerprint,
            names = excluded.names,
            revisions = excluded.revisions,
            desk_sequence = excluded.desk_sequence,
            wire_sequence = excluded.wire_sequence,
            warnings = excluded.warnings,
            accepted_at = excluded.accepted_at
    ), noted AS (
        INSERT INTO audit (
            at, author, credential, peer, method, request_id, outcome, names, types, revisions, desk_sequence, details)
        SELECT
            at, asked.author, asked.credential, asked.peer, asked.method, asked.id, 'done',
            told.new_names, told.new_types, told.new_revisions, told.desk_sequence, ''
        FROM told
        JOIN asked USING (request)
        WHERE told.new_names IS NOT NULL
    )
    SELECT told.request, told.desk_sequence, told.wire_sequence FROM told;

    -- One notification for the whole group; the payload is the new desk head.
    PERFORM pg_notify('dateline_feed', (head.desk_head + desk_count)::text);
END;
$$;
