-- Fire one tick of a periodic task: decide what becomes of it, and enqueue its run. Beat, workers and pg_cron all call
-- this, as often and as late as they like; the answer is the tick, with its run where there is one, or a row of NULLs when
-- nothing is due.
--
-- Without due_at it takes the oldest moment of `upcoming` that is due (a tick that overlap had queued comes before), and
-- answers one tick a call. With due_at it fires that tick, also of a paused task, and answers what was decided before if it
-- was. The lock on the row makes callers wait for one another; the unique key of reproq_ticks is what a tick is.
--
-- Ten seconds late is on time (reproq.schedule.upcoming.ON_TIME). What is later was missed, and catch_up decides. A tick is
-- known for thirty days.
--
-- The search_path is that of the migration: names below mean the tables it made, whatever the caller's is. After
-- ALTER SCHEMA … RENAME, say ALTER FUNCTION … SET search_path.

CREATE OR REPLACE FUNCTION reproq_enqueue_periodic_task(
    name text, due_at timestamptz DEFAULT NULL, now timestamptz DEFAULT NULL
)
RETURNS reproq_ticks
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $function$
#variable_conflict use_column
DECLARE
    asked_name ALIAS FOR $1;
    asked_at ALIAS FOR $2;
    moment CONSTANT timestamptz := coalesce($3, statement_timestamp());
    on_time_from CONSTANT timestamptz := moment - interval '10 seconds';
    task periodic_tasks;
    tick reproq_ticks;
    decided timestamptz;
    rest timestamptz[];
    due int;
    missed int;
    dropped int;
    is_busy boolean := false;
    outcome text;
BEGIN
    SELECT job.* INTO task FROM periodic_tasks AS job WHERE job.name = asked_name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no periodic task %', quote_literal(asked_name)
            USING ERRCODE = 'no_data_found', HINT = 'reproq schedules list shows those that there are.';
    END IF;
    IF task.overlap <> 'allow' THEN
        is_busy := EXISTS (SELECT FROM task_runs AS run WHERE run.id = task.last_run_id AND run.finished_at IS NULL);
    END IF;

    IF asked_at IS NOT NULL THEN
        IF asked_at < moment - interval '30 days' THEN
            RAISE EXCEPTION 'due_at % is more than 30 days ago: whether it fired is forgotten', asked_at
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave due_at out, or name a later tick.';
        END IF;
        SELECT past.* INTO tick FROM reproq_ticks AS past
            WHERE past.periodic_task_id = task.id AND past.due_at = asked_at;
        IF FOUND THEN
            RETURN tick;
        END IF;
        decided := asked_at;
        rest := array_remove(task.upcoming, asked_at);
    ELSIF NOT task.enabled THEN
        RETURN NULL;
    ELSIF task.queued_due_at IS NOT NULL AND NOT is_busy THEN
        decided := task.queued_due_at;
        rest := task.upcoming;
    ELSE
        rest := task.upcoming;
        LOOP
            IF coalesce(rest[2] > moment, true) THEN  -- as a rule; the query costs more than the rest of the loop
                due := coalesce((rest[1] <= moment)::int, 0);
                missed := coalesce((rest[1] < on_time_from)::int, 0);
            ELSE
                SELECT count(*), count(*) FILTER (WHERE one < on_time_from) INTO due, missed
                    FROM unnest(rest) AS one WHERE one <= moment;
            END IF;
            dropped := CASE
                WHEN task.catch_up = 'none' OR (task.catch_up = 'latest' AND due > missed) THEN missed
                WHEN task.catch_up = 'latest' THEN greatest(missed - 1, 0)
                ELSE greatest(missed - task.catch_up_bound, 0)
            END;
            IF due <= dropped THEN
                IF dropped > 0 OR cardinality(rest) < cardinality(task.upcoming) THEN
                    UPDATE periodic_tasks SET upcoming = rest[dropped + 1:] WHERE id = task.id;
                END IF;
                RETURN NULL;
            END IF;
            decided := rest[dropped + 1];
            rest := rest[dropped + 2:];
            -- fired or skipped by name before; a list that is computed anew holds it again
            EXIT WHEN NOT EXISTS (
                SELECT FROM reproq_ticks AS past WHERE past.periodic_task_id = task.id AND past.due_at = decided
            );
        END LOOP;
    END IF;

    outcome := CASE
        WHEN NOT is_busy THEN CASE WHEN decided < on_time_from THEN 'caught_up' ELSE 'enqueued' END
        WHEN task.overlap = 'queue_one' AND task.queued_due_at IS NULL THEN 'queued'
        ELSE 'skipped'
    END;
    WITH run AS (
        INSERT INTO task_runs (
            backend, task_path, args, kwargs, spec_hash, queue_name, priority, max_attempts, backoff_seconds,
            timeout_seconds, expires_at, enqueued_at, due_at
        )
        SELECT
            task.backend, task.task_path, task.args, task.kwargs, task.spec_hash, task.queue_name, task.priority,
            task.max_attempts, task.backoff_seconds, task.timeout_seconds,
            moment + task.expires_in_seconds * interval '1 second', moment, moment
        WHERE NOT is_busy
        RETURNING id
    ), noted AS (
        INSERT INTO reproq_ticks AS new (periodic_task_id, due_at, outcome, run_id, decided_at)
        VALUES (task.id, decided, outcome, (SELECT run.id FROM run), moment)
        ON CONFLICT (periodic_task_id, due_at) DO UPDATE
            SET outcome = 'enqueued', run_id = excluded.run_id, decided_at = excluded.decided_at
            WHERE new.outcome = 'queued' AND excluded.run_id IS NOT NULL
        RETURNING new.*
    ), job AS (
        UPDATE periodic_tasks
        SET
            upcoming = rest,
            last_run_id = coalesce((SELECT run.id FROM run), last_run_id),
            last_run_at = CASE WHEN is_busy THEN last_run_at ELSE decided END,
            queued_due_at = CASE
                WHEN outcome = 'queued' THEN decided
                WHEN queued_due_at IS DISTINCT FROM decided THEN queued_due_at
            END,
            fault = ''
        WHERE id = task.id
    )
    SELECT noted.* INTO STRICT tick FROM noted;
    RETURN tick;
END
$function$;
