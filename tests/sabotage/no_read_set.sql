-- The check of what a decision looked at, taken out of `append`.
DO $$
BEGIN
    EXECUTE replace(
        pg_get_functiondef('append'::regproc), 'coalesce(records.revision, 0) <> looked.revision', 'false');
END;
$$;
