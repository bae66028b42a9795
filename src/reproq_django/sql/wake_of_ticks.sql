-- Who fires a tick need not wake anybody: when its transaction commits, whoever waits for the run's queue is told. Asked
-- any sooner, a worker that falls idle while the transaction is open would not hear of it; and pg_cron, unlike Django, has
-- no place for code that runs after a commit.

CREATE OR REPLACE FUNCTION reproq_wake_for_tick() RETURNS trigger
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $function$
BEGIN
    PERFORM reproq_wake(run.queue_name) FROM task_runs AS run WHERE run.id = NEW.run_id;
    RETURN NULL;
END
$function$;

CREATE CONSTRAINT TRIGGER reproq_wake_workers
    AFTER INSERT OR UPDATE ON reproq_ticks
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW
    WHEN (NEW.run_id IS NOT NULL)
    EXECUTE FUNCTION reproq_wake_for_tick();
