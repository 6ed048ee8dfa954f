-- The feed's lock, taken out of `append`: two writers number from the same head.
DO $$
BEGIN
    EXECUTE replace(pg_get_functiondef('append'::regproc), 'FROM feed FOR UPDATE', 'FROM feed');
END;
$$;
