-- `append` of 0006 with one thing changed: a revision that says the same in another state, as a publication does, comes
-- without document and words. What is known of its head is not written once more, for both are large. A server from
-- before, which sends them always, writes by it as well.
DO $$
DECLARE
    before text := pg_get_functiondef('append'::regproc);
    after text := replace(
        before,
        'search = excluded.search,
        document = excluded.document,',
        '-- `{}`, which no record is, stands for what is there.
        search = CASE WHEN excluded.document = ''{}'' THEN known.search ELSE excluded.search END,
        document = CASE WHEN excluded.document = ''{}'' THEN known.document ELSE excluded.document END,');
BEGIN
    IF after = before THEN
        RAISE EXCEPTION 'append is not the function that is to be changed';
    END IF;
    EXECUTE after;
END;
$$;
