-- One periodic task fires a tick: its oldest moment that is due, or the one that is named.
SELECT
    job.name, job.queue_name, tick.due_at, tick.outcome, tick.run_id,
    extract(epoch FROM tick.decided_at - tick.due_at)::float8
FROM
    reproq_enqueue_periodic_task(
        %(name)s::text, %(due_at)s::timestamptz, coalesce(%(now)s::timestamptz, now())
    ) AS tick
JOIN periodic_tasks AS job ON job.name = %(name)s::text
