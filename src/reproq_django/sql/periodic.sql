-- Fire ticks of periodic tasks: decide what becomes of each, and enqueue its run. The first function does it, one tick each
-- of many at once, which costs a third of one after another; the second is what beat, pg_cron and people call by a name, as
-- often and as late as they like. Whoever calls, the lock on the row makes them wait for one another, and the unique key of
-- reproq_ticks is what a tick is.
--
-- Without due_at it is the oldest moment of `upcoming` that is due (a tick that overlap had queued comes before). With due_at
-- it is that tick, also of a paused task. Ten seconds late is on time (reproq.schedule.upcoming.ON_TIME); what is later was
-- missed, and catch_up decides. A tick is known for thirty days.
--
-- The search_path is that of the migration: names below mean the tables it made, whatever the caller's is. After
-- ALTER SCHEMA … RENAME, say ALTER FUNCTION … SET search_path.

CREATE OR REPLACE FUNCTION reproq_fire_periodic_tasks(
    ids bigint[], due_at timestamptz DEFAULT NULL, now timestamptz DEFAULT NULL
)
RETURNS SETOF reproq_ticks
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $function$
#variable_conflict use_column
DECLARE
    asked_at ALIAS FOR $2;
    moment CONSTANT timestamptz := coalesce($3, statement_timestamp());
    on_time_from CONSTANT timestamptz := moment - interval '10 seconds';
BEGIN
    -- a statement of its own: the next one sees what others have decided while this one waited
    PERFORM FROM periodic_tasks AS job WHERE job.id = ANY(ids) ORDER BY job.id FOR UPDATE;
    RETURN QUERY
    WITH task AS MATERIALIZED (
        SELECT
            job.*,
            job.overlap <> 'allow' AND EXISTS (
                SELECT FROM task_runs AS run WHERE run.id = job.last_run_id AND run.finished_at IS NULL
            ) AS is_busy
        FROM periodic_tasks AS job
        WHERE job.id = ANY(ids)
    ), choice AS MATERIALIZED (
        SELECT
            task.id, pick.due_at, pick.rest, pick.was_queued, task.is_busy,
            CASE
                WHEN NOT task.is_busy AND pick.due_at < on_time_from AND NOT pick.was_queued THEN 'caught_up'
                WHEN NOT task.is_busy THEN 'enqueued'
                WHEN task.overlap = 'queue_one' AND task.queued_due_at IS NULL THEN 'queued'
                ELSE 'skipped'
            END AS outcome,
            hashtextextended(gen_random_uuid()::text, 0) AS nonce
        FROM task CROSS JOIN LATERAL (
            SELECT asked_at AS due_at, array_remove(task.upcoming, asked_at) AS rest, false AS was_queued
            WHERE asked_at IS NOT NULL
            UNION ALL
            SELECT task.queued_due_at, task.upcoming, true
            WHERE asked_at IS NULL AND task.enabled AND task.queued_due_at IS NOT NULL AND NOT task.is_busy
            UNION ALL
            -- what is dropped, and what was decided by name before, leaves the list with what is fired
            SELECT task.upcoming[next.place], task.upcoming[coalesce(next.place, tally.due) + 1:], false
            FROM (
                SELECT count(*)::int AS due, (count(*) FILTER (WHERE one < on_time_from))::int AS missed
                FROM unnest(task.upcoming) AS one
                WHERE one <= moment
            ) AS tally
            CROSS JOIN LATERAL (
                SELECT min(listed.place)::int AS place
                FROM unnest(task.upcoming) WITH ORDINALITY AS listed (one, place)
                WHERE
                    listed.one <= moment
                    AND listed.place > CASE
                        WHEN task.catch_up = 'none' OR (task.catch_up = 'latest' AND tally.due > tally.missed)
                            THEN tally.missed
                        WHEN task.catch_up = 'latest' THEN tally.missed - 1
                        ELSE tally.missed - task.catch_up_bound
                    END
                    AND NOT EXISTS (
                        SELECT FROM reproq_ticks AS past
                        WHERE past.periodic_task_id = task.id AND past.due_at = listed.one
                    )
            ) AS next
            WHERE
                asked_at IS NULL AND task.enabled AND tally.due > 0
                AND (task.queued_due_at IS NULL OR task.is_busy)
        ) AS pick
    ), run AS (
        INSERT INTO task_runs (
            nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority, max_attempts, backoff_seconds,
            on_lost_contact,  -- since 0004
            timeout_seconds, expires_at, enqueued_at, due_at
        )
        SELECT
            choice.nonce, task.backend, task.task_path, task.args, task.kwargs, task.spec_hash, task.queue_name,
            task.priority, task.max_attempts, task.backoff_seconds,
            nullif(task.on_lost_contact, 'continue'),  -- since 0004
            task.timeout_seconds, moment + task.expires_in_seconds * interval '1 second', moment, moment
        FROM choice JOIN task ON task.id = choice.id
        WHERE choice.due_at IS NOT NULL AND NOT choice.is_busy
        ORDER BY choice.id
        RETURNING id, nonce
    ), noted AS (
        INSERT INTO reproq_ticks AS new (periodic_task_id, due_at, outcome, run_id, decided_at)
        SELECT choice.id, choice.due_at, choice.outcome, run.id, moment
        FROM choice LEFT JOIN run ON run.nonce = choice.nonce
        WHERE choice.due_at IS NOT NULL AND NOT choice.was_queued
        RETURNING new.*
    ), unqueued AS (
        UPDATE reproq_ticks AS old
        SET outcome = choice.outcome, run_id = run.id, decided_at = moment
        FROM choice JOIN run ON run.nonce = choice.nonce
        WHERE choice.was_queued AND old.periodic_task_id = choice.id AND old.due_at = choice.due_at
        RETURNING old.*
    ), settled AS (
        UPDATE periodic_tasks AS job
        SET
            upcoming = choice.rest,
            last_run_id = coalesce(run.id, job.last_run_id),
            last_run_at = CASE WHEN run.id IS NULL THEN job.last_run_at ELSE choice.due_at END,
            queued_due_at = CASE
                WHEN choice.outcome = 'queued' AND choice.due_at IS NOT NULL THEN choice.due_at
                WHEN NOT choice.was_queued THEN job.queued_due_at
            END,
            fault = ''
        FROM choice LEFT JOIN run ON run.nonce = choice.nonce
        WHERE job.id = choice.id
    )
    SELECT noted.* FROM noted UNION ALL SELECT unqueued.* FROM unqueued;
END
$function$;

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
    task_id bigint;
    tick reproq_ticks;
BEGIN
    SELECT job.id INTO task_id FROM periodic_tasks AS job WHERE job.name = asked_name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no periodic task %', quote_literal(asked_name)
            USING ERRCODE = 'no_data_found', HINT = 'reproq schedules list shows those that there are.';
    END IF;
    IF asked_at < moment - interval '30 days' THEN
        RAISE EXCEPTION 'due_at % is more than 30 days ago: whether it fired is forgotten', asked_at
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave due_at out, or name a later tick.';
    END IF;
    SELECT past.* INTO tick FROM reproq_ticks AS past WHERE past.periodic_task_id = task_id AND past.due_at = asked_at;
    IF NOT FOUND THEN
        SELECT fired.* INTO tick FROM reproq_fire_periodic_tasks(ARRAY[task_id], asked_at, moment) AS fired;
    END IF;
    RETURN tick;
END
$function$;
