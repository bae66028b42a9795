-- The last run of a periodic task, and the tick that waits in it, are ticks that are kept, as far back as those are.
SELECT job.name, fault.what
FROM periodic_tasks AS job
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN job.last_run_at > coalesce(%(now)s::timestamptz, now()) - interval '29 days'
            AND NOT EXISTS (
                SELECT FROM reproq_ticks AS tick
                WHERE
                    tick.periodic_task_id = job.id AND tick.due_at = job.last_run_at AND tick.run_id = job.last_run_id
            )
            THEN concat('its last run ', job.last_run_id, ' has no tick at ', job.last_run_at)
        WHEN job.queued_due_at > coalesce(%(now)s::timestamptz, now()) - interval '29 days'
            AND NOT EXISTS (
                SELECT FROM reproq_ticks AS tick
                WHERE tick.periodic_task_id = job.id AND tick.due_at = job.queued_due_at AND tick.outcome = 'queued'
            )
            THEN concat('the tick of ', job.queued_due_at, ' waits in it, and is not noted as queued')
    END AS what
) AS fault
WHERE fault.what IS NOT NULL
ORDER BY job.name
