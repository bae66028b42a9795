-- The spec of a run never changes: hash, arguments and task path were written together, and replay relies on it.
-- `json` has no equality, so texts are compared. UPDATE OF keeps claims and finalises free of this trigger.

CREATE OR REPLACE FUNCTION reproq_refuse_spec_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    RAISE EXCEPTION 'the spec of run % cannot be changed: task_path, args, kwargs and spec_hash are fixed at enqueue', OLD.id
        USING ERRCODE = 'restrict_violation',
              HINT = 'Replay the run to make a new one, or enqueue a new run with other arguments.';
END
$function$;

CREATE OR REPLACE TRIGGER reproq_spec_immutable
    BEFORE UPDATE OF task_path, args, kwargs, spec_hash ON task_runs
    FOR EACH ROW
    WHEN ((OLD.task_path, OLD.args::text, OLD.kwargs::text, OLD.spec_hash)
        IS DISTINCT FROM (NEW.task_path, NEW.args::text, NEW.kwargs::text, NEW.spec_hash))
    EXECUTE FUNCTION reproq_refuse_spec_change();
