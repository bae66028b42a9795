-- A plain INSERT names a task and perhaps its arguments; what the engine needs beyond that is filled in here: the hash,
-- and when the run falls due. Rows that bring their spec_hash (Python, COPY) never fire this trigger.
-- The clock is the row's own enqueued_at, now() by default, so that tests can set it. The hash function is looked up
-- beside the table, so that neither search_path nor a renamed schema can lead astray.

CREATE OR REPLACE FUNCTION reproq_fill_run() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    EXECUTE format('SELECT %I.reproq_spec_hash($1, $2, $3)', TG_TABLE_SCHEMA)
        INTO NEW.spec_hash USING NEW.task_path, NEW.args, NEW.kwargs;
    NEW.due_at := coalesce(NEW.run_after, NEW.due_at);
    IF NEW.status = 'READY' AND NEW.due_at > NEW.enqueued_at THEN
        NEW.status := 'SCHEDULED';
    END IF;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE TRIGGER reproq_fill
    BEFORE INSERT ON task_runs
    FOR EACH ROW
    WHEN (NEW.spec_hash IS NULL)
    EXECUTE FUNCTION reproq_fill_run();
