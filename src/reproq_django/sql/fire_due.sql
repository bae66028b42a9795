-- Fire everything that is due, for whoever has no loop of ours: pg_cron calls this once a minute. The answer is how many
-- ticks were decided.
--
-- One statement fires a tick of each, and again until nothing is due. Where it is refused for one row, they are fired one by
-- one: that row says so in its `fault`, with a warning, stops no other, and is tried again a minute later. What another
-- caller holds is left to it. A call looks 1,000 times at most, at 500 periodic tasks each (a statement of 10,000 took twice as long); what is left is due
-- the next time.
-- Unlike our own loops it does not wait for a list to be whole: where no scheduler of ours lives, nobody would fill it.

CREATE OR REPLACE FUNCTION reproq_fire_due(now timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $function$
#variable_conflict use_column
DECLARE
    moment CONSTANT timestamptz := coalesce($1, statement_timestamp());
    due bigint[];
    one bigint;
    fired bigint;
    decided bigint := 0;
    reason text;
BEGIN
    FOR turn IN 1..1000 LOOP
        due := ARRAY(
            SELECT job.id
            FROM periodic_tasks AS job
            WHERE
                job.enabled
                AND (job.fault = '' OR job.refill_at <= moment)
                AND (
                    (job.wake_at <= moment AND job.next_run_at <= moment)
                    OR (
                        job.queued_due_at IS NOT NULL
                        AND NOT EXISTS (
                            SELECT FROM task_runs AS run WHERE run.id = job.last_run_id AND run.finished_at IS NULL
                        )
                    )
                )
            ORDER BY job.wake_at
            LIMIT 500
            FOR UPDATE SKIP LOCKED
        );
        EXIT WHEN due = '{}';
        BEGIN
            SELECT count(*) INTO fired FROM reproq_fire_periodic_tasks(due, NULL, moment);
        EXCEPTION WHEN OTHERS THEN
            fired := 0;
            FOREACH one IN ARRAY due LOOP
                BEGIN
                    PERFORM reproq_fire_periodic_tasks(ARRAY[one], NULL, moment);
                    fired := fired + 1;
                EXCEPTION WHEN OTHERS THEN
                    GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT;
                    RAISE WARNING 'the periodic task % cannot be fired: %', one, reason;
                    UPDATE periodic_tasks AS job
                    SET fault = 'it cannot be fired: ' || reason, refill_at = moment + interval '1 minute'
                    WHERE job.id = one;
                END;
            END LOOP;
        END;
        decided := decided + fired;
    END LOOP;
    RETURN decided;
END
$function$;
