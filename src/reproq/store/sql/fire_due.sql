-- Each periodic task that is due, and whose list is whole, fires one tick; what another transaction holds is left to it.
WITH due AS MATERIALIZED (
    SELECT id
    FROM periodic_tasks
    WHERE
        enabled
        AND wake_at <= coalesce(%(now)s::timestamptz, now())
        AND next_run_at <= coalesce(%(now)s::timestamptz, now())
        AND computed_until >= coalesce(%(now)s::timestamptz, now())
        AND fault = ''
    ORDER BY wake_at
    LIMIT %(limit)s::int
    FOR UPDATE SKIP LOCKED
), queued AS MATERIALIZED (
    SELECT id
    FROM periodic_tasks
    WHERE
        enabled
        AND queued_due_at IS NOT NULL
        AND fault = ''
        AND NOT EXISTS (
            SELECT FROM task_runs AS run WHERE run.id = periodic_tasks.last_run_id AND run.finished_at IS NULL
        )
    LIMIT %(limit)s::int
    FOR UPDATE SKIP LOCKED
)
SELECT
    job.name, job.queue_name, tick.due_at, tick.outcome, tick.run_id,
    extract(epoch FROM tick.decided_at - tick.due_at)::float8
FROM
    reproq_fire_periodic_tasks(
        ARRAY(SELECT id FROM due UNION SELECT id FROM queued), NULL, coalesce(%(now)s::timestamptz, now())
    ) AS tick
JOIN periodic_tasks AS job ON job.id = tick.periodic_task_id
