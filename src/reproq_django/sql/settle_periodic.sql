-- What follows from the columns of a periodic task: the hash of its spec, its next tick, when a scheduler next has
-- something to do about it, and since when it is paused. When its timing changes, its list of moments is void.
-- The hash function is looked up beside the table, so that neither search_path nor a renamed schema can lead astray.

CREATE OR REPLACE FUNCTION reproq_settle_periodic_task() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.spec_hash = '' OR (NEW.task_path, NEW.args::text, NEW.kwargs::text, NEW.spec_hash)
        IS DISTINCT FROM (OLD.task_path, OLD.args::text, OLD.kwargs::text, OLD.spec_hash)
    THEN
        EXECUTE format('SELECT %I.reproq_spec_hash($1, $2, $3)', TG_TABLE_SCHEMA)
            INTO NEW.spec_hash USING NEW.task_path, NEW.args, NEW.kwargs;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.paused_at := CASE WHEN NOT NEW.enabled THEN statement_timestamp() END;
    ELSIF (NEW.name, NEW.cron_expr, NEW.time_zone, NEW.jitter_seconds, NEW.start_at, NEW.end_at, NEW.enabled)
        IS DISTINCT FROM
        (OLD.name, OLD.cron_expr, OLD.time_zone, OLD.jitter_seconds, OLD.start_at, OLD.end_at, OLD.enabled)
    THEN
        NEW.upcoming := '{}';
        NEW.computed_until := NULL;
        NEW.refill_at := 'epoch';
        NEW.fault := '';
        IF NEW.enabled IS DISTINCT FROM OLD.enabled THEN
            NEW.paused_at := CASE WHEN NOT NEW.enabled THEN statement_timestamp() END;
        END IF;
    END IF;
    NEW.next_run_at := NEW.upcoming[1];
    NEW.wake_at := CASE WHEN NEW.fault = '' THEN least(NEW.upcoming[1], NEW.refill_at) ELSE NEW.refill_at END;
    RETURN NEW;
END
$function$;

CREATE OR REPLACE TRIGGER reproq_settle
    BEFORE INSERT OR UPDATE ON periodic_tasks
    FOR EACH ROW
    EXECUTE FUNCTION reproq_settle_periodic_task();

-- those that were there before the trigger
UPDATE periodic_tasks SET spec_hash = '';
