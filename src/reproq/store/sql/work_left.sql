-- Whether a queue of this worker holds a run that is READY, or falls due within the horizon.
SELECT
    EXISTS (
        SELECT 1 FROM task_runs
        WHERE status = 'READY' AND (%(queues)s::text[] IS NULL OR queue_name = ANY(%(queues)s::text[]))
    )
    OR EXISTS (
        SELECT 1 FROM task_runs
        WHERE
            status = 'SCHEDULED'
            AND due_at <= coalesce(%(now)s::timestamptz, now()) + %(horizon_seconds)s::float8 * interval '1 second'
            AND (%(queues)s::text[] IS NULL OR queue_name = ANY(%(queues)s::text[]))
    )
