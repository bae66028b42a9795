-- Whether one of `ready_queues` holds a READY run, or a queue of this worker one that is lost or falls due soon.
SELECT
    coalesce(
        (
            SELECT true
            FROM unnest(%(ready_queues)s::text[]) AS queue (name)
            CROSS JOIN LATERAL (
                SELECT run.id
                FROM task_runs AS run
                WHERE run.status = 'READY' AND run.queue_name = queue.name
                ORDER BY run.priority DESC, run.due_at, run.id
                LIMIT 1
            ) AS head
            LIMIT 1
        ),
        (
            SELECT true
            FROM task_runs AS run
            WHERE
                run.status = 'SCHEDULED'
                AND run.due_at
                <= coalesce(%(now)s::timestamptz, now()) + %(horizon_seconds)s::float8 * interval '1 second'
                AND (%(queues)s::text[] IS NULL OR run.queue_name = ANY(%(queues)s::text[]))
                AND run.queue_name <> ALL(%(excluded)s::text[])
            ORDER BY run.due_at
            LIMIT 1
        ),
        (
            SELECT true
            FROM task_runs AS run
            WHERE
                run.worker_id IS NOT NULL
                AND run.lease_expires_at < coalesce(%(now)s::timestamptz, now())
                AND (%(queues)s::text[] IS NULL OR run.queue_name = ANY(%(queues)s::text[]))
                AND run.queue_name <> ALL(%(excluded)s::text[])
            ORDER BY run.worker_id
            LIMIT 1
        ),
        false
    )
