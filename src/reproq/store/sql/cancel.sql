-- Each unfinished run of the batch is CANCELLED with the reason as its newest error, or, where it runs, asked to be.
UPDATE task_runs AS run
SET
    (status, finished_at, cancel_requested_at, waiting_reason, errors) = (
        SELECT
            CASE WHEN run.status = 'RUNNING' THEN run.status ELSE 'CANCELLED' END,
            CASE WHEN run.status <> 'RUNNING' THEN clock.moment END,
            coalesce(run.cancel_requested_at, clock.moment),
            NULL,
            CASE
                WHEN run.status = 'RUNNING' THEN run.errors
                ELSE run.errors || (
                    %(error)s::jsonb || jsonb_build_object(
                        'attempt', run.attempts, 'worker_id', NULL::text, 'at', clock.moment
                    )
                )
            END
        FROM (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock
    )
WHERE run.id = ANY(%(ids)s::bigint[]) AND run.status IN ('WAITING', 'SCHEDULED', 'READY', 'RUNNING')
RETURNING run.id, run.status
