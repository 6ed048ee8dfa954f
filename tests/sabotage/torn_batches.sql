-- Every change is its own batch.
DO $$
BEGIN
    EXECUTE replace(
        pg_get_functiondef('append'::regproc), 'numbered.desk_sequence, max(numbered.desk_sequence) OVER of_request',
        'numbered.desk_sequence, numbered.desk_sequence');
END;
$$;
