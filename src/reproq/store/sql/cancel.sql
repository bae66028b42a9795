-- Each run of the batch that has not started is CANCELLED, with the reason as its newest error; no other is changed.
UPDATE task_runs
SET
    status = 'CANCELLED',
    finished_at = coalesce(%(now)s::timestamptz, now()),
    waiting_reason = NULL,
    errors = errors || (
        %(error)s::jsonb
        || jsonb_build_object(
            'attempt', attempts, 'worker_id', NULL::text, 'at', coalesce(%(now)s::timestamptz, now())
        )
    )
WHERE id = ANY(%(ids)s::bigint[]) AND status IN ('WAITING', 'SCHEDULED', 'READY')
RETURNING id
