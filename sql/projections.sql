-- Projections: tables that follow the log. Each step is one statement, like `append`, so a server that freezes between
-- two of them holds no lock.

-- Moves a projection from one position to another, and holds its row until the transaction ends. Returns false if it is
-- not there, because another server has taken the step, or not of this version or epoch: then nothing may be written.
-- The caller's next statements see all that is committed, and no purge commits before they have.
CREATE OR REPLACE FUNCTION advance_projection(
    projection text, made_by int, in_epoch bigint, from_position bigint, to_position bigint
) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE projections SET position = to_position
    WHERE name = projection AND version = made_by AND epoch = in_epoch AND position = from_position;
    RETURN FOUND;
END;
$$;

-- Lets the rows of search be made again, beside the projection that follows the feed: that one goes on from where it is.
-- Returns the sequence up to which they are made again.
CREATE OR REPLACE FUNCTION rebuild_search() RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    upto bigint;
BEGIN
    PERFORM FROM projections ORDER BY name FOR UPDATE;
    UPDATE projections AS rebuild SET
        version = follows.version, epoch = follows.epoch, position = 0, until = follows.position
    FROM projections AS follows
    WHERE rebuild.name = 'search_rebuild' AND follows.name = 'search'
    RETURNING rebuild.until INTO upto;
    RETURN upto;
END;
$$;

-- Lets a projection begin again, if its rows are of an earlier version or of another epoch. Its rows stay until the
-- step that passes their records, so that people read on; those of records that the log does not know go at once. Search
-- goes on from where it is, and its rows are made again beside it.
CREATE OR REPLACE FUNCTION restart_projection(projection text, made_by int) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM projections ORDER BY name FOR UPDATE;
    UPDATE projections SET
        version = made_by,
        epoch = feed.epoch,
        position = CASE WHEN projection = 'search' THEN least(projections.position, feed.desk_head) ELSE 0 END
    FROM feed
    WHERE projections.name = projection
        AND (projections.version < made_by OR projections.version = made_by AND projections.epoch <> feed.epoch);
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF projection = 'documents' THEN
        DELETE FROM documents WHERE NOT EXISTS (
            SELECT FROM records WHERE records.name = documents.name AND records.state <> 'deleted');
    ELSIF projection = 'search' THEN
        DELETE FROM search WHERE NOT EXISTS (
            SELECT FROM records WHERE records.name = search.name AND records.state <> 'deleted');
        PERFORM rebuild_search();
    END IF;
    IF projection = 'actor_keys' THEN
        DELETE FROM actor_keys WHERE NOT EXISTS (
            SELECT FROM records WHERE records.name = actor_keys.name AND records.state <> 'deleted');
    END IF;
    RETURN true;
END;
$$;

-- Takes a step of the documents. The arguments are columns: a record, the desk sequence of the head that was read, and
-- its content as JSON, null if the record is to have no document. A head that has moved since is left to a later step:
-- its content may have been erased.
CREATE OR REPLACE FUNCTION project_documents(
    made_by int, in_epoch bigint, from_position bigint, to_position bigint,
    head_name text[], head_sequence bigint[], head_document jsonb[]
) RETURNS boolean
LANGUAGE plpgsql
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    IF NOT advance_projection('documents', made_by, in_epoch, from_position, to_position) THEN
        RETURN false;
    END IF;
    DELETE FROM documents
    USING unnest(head_name, head_sequence, head_document) AS head (name, sequence, document)
    JOIN records ON records.name = head.name AND records.desk_sequence = head.sequence
    WHERE documents.name = head.name AND head.document IS NULL;
    INSERT INTO documents AS known (
        name, uid, kind, state, revision, desk_sequence, wire_sequence, days, document)
    SELECT
        records.name, records.uid, records.kind, records.state, records.revision, records.desk_sequence,
        records.wire_sequence, records.days, head.document
    FROM unnest(head_name, head_sequence, head_document) AS head (name, sequence, document)
    JOIN records ON records.name = head.name AND records.desk_sequence = head.sequence
    WHERE head.document IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET
        state = excluded.state,
        revision = excluded.revision,
        desk_sequence = excluded.desk_sequence,
        wire_sequence = excluded.wire_sequence,
        days = excluded.days,
        -- An equal document is not written again: it is large, and often only the state has changed.
        document = CASE WHEN known.document = excluded.document THEN known.document ELSE excluded.document END;
    RETURN true;
END;
$$;

-- Takes a step of the keys of actors. The arguments are columns, as above; the keys are an array as text, null for a
-- record that has none. States are not part of a row: a publication changes nothing here, and a read takes the state
-- from `records`.
CREATE OR REPLACE FUNCTION project_actor_keys(
    made_by int, in_epoch bigint, from_position bigint, to_position bigint,
    head_name text[], head_sequence bigint[], head_keys text[]
) RETURNS boolean
LANGUAGE plpgsql
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    IF NOT advance_projection('actor_keys', made_by, in_epoch, from_position, to_position) THEN
        RETURN false;
    END IF;
    DELETE FROM actor_keys
    USING unnest(head_name, head_sequence, head_keys) AS head (name, sequence, keys)
    JOIN records ON records.name = head.name AND records.desk_sequence = head.sequence
    WHERE actor_keys.name = head.name AND head.keys IS NULL;
    INSERT INTO actor_keys AS known (name, uid, keys)
    SELECT records.name, records.uid, head.keys::bigint[]
    FROM unnest(head_name, head_sequence, head_keys) AS head (name, sequence, keys)
    JOIN records ON records.name = head.name AND records.desk_sequence = head.sequence
    WHERE head.keys IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET keys = excluded.keys
    -- Most changes are of the state: equal keys are not written again.
    WHERE known.keys <> excluded.keys;
    RETURN true;
END;
$$;

-- The words of a record: those that were folded, and the stems of its prose by the rules of its language. A text with
-- more words than a tsvector holds is left with the former.
CREATE OR REPLACE FUNCTION search_words(lexemes text, configuration regconfig, prose text) RETURNS tsvector
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    IF configuration IS NULL OR prose = '' THEN
        RETURN lexemes::tsvector;
    END IF;
    RETURN lexemes::tsvector || setweight(to_tsvector(configuration, prose), 'D');
EXCEPTION
    WHEN program_limit_exceeded THEN
        RETURN lexemes::tsvector;
END;
$$;

-- Takes a step of search, or of its rebuilding. The arguments are columns: a record, the desk sequence of the head that
-- was read, and its words, null if the record is to have none. Both kinds of step hold the row of
-- search, so that none writes over what the other has made of a later head.
CREATE OR REPLACE FUNCTION project_search(
    projection text, made_by int, in_epoch bigint, from_position bigint, to_position bigint,
    head_name text[], head_sequence bigint[], head_configuration text[],
    head_lexemes text[], head_prose text[], head_names text[], head_typos text[]
) RETURNS boolean
LANGUAGE plpgsql
SET jit = off
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    PERFORM FROM projections WHERE projections.name = 'search' FOR UPDATE;
    IF NOT advance_projection(projection, made_by, in_epoch, from_position, to_position) THEN
        RETURN false;
    END IF;
    DELETE FROM search
    USING unnest(head_name, head_sequence, head_lexemes) AS head (name, sequence, lexemes)
    JOIN records ON records.name = head.name AND records.desk_sequence = head.sequence
    WHERE search.name = head.name AND head.lexemes IS NULL;
    INSERT INTO search AS known (name, desk_sequence, configuration, words, names, typos)
    SELECT
        head.name, head.sequence, pg_ts_config.cfgname,
        search_words(head.lexemes, pg_ts_config.oid::regconfig, head.prose),
        head.names, string_to_array(head.typos, ' ')::int[]
    FROM unnest(
        head_name, head_sequence, head_configuration, head_lexemes, head_prose, head_names, head_typos
    ) AS head (name, sequence, configuration, lexemes, prose, names, typos)
    JOIN records ON records.name = head.name AND records.desk_sequence = head.sequence
    LEFT JOIN pg_ts_config
        ON pg_ts_config.cfgname = head.configuration AND pg_ts_config.cfgnamespace = 'pg_catalog'::regnamespace
    WHERE head.lexemes IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET
        desk_sequence = excluded.desk_sequence,
        configuration = excluded.configuration,
        words = excluded.words,
        names = excluded.names,
        typos = excluded.typos;
    RETURN true;
END;
$$;

-- Deletes what projections have of records. `append` calls this for a purge: the content goes with it, and no step
-- that has read it before writes it afterwards, because it waits for the rows of the projections (W11).
CREATE OR REPLACE FUNCTION erase_projected(names text[]) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM FROM projections ORDER BY name FOR UPDATE;
    DELETE FROM documents WHERE name = ANY (names);
    DELETE FROM actor_keys WHERE name = ANY (names);
    DELETE FROM search WHERE search.name = ANY (erase_projected.names);
END;
$$;
