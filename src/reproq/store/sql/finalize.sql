-- Each claim of the batch ends as its verdict says (where that means another attempt, unless its run is to be cancelled)
-- if and only if its token still holds; nobody else leaves RUNNING.
UPDATE task_runs AS run
SET
    (
        status, return_value, errors, failures, releases, attempts, worker_ids, due_at,
        started_at, last_attempted_at, finished_at, waiting_reason
    ) = (
        SELECT
            CASE WHEN verdict.is_cancelled THEN 'CANCELLED' ELSE verdict.status END,
            verdict.return_value,
            CASE
                WHEN verdict.is_cancelled
                    THEN run.errors || coalesce(verdict.error, '[]'::jsonb) || (
                        %(cancelled)s::jsonb || jsonb_build_object(
                            'attempt', run.attempts, 'worker_id', run.worker_id, 'at', verdict.ended_at
                        )
                    )
                WHEN verdict.error IS NULL THEN run.errors
                WHEN verdict.error ->> 'kind' <> 'unknown_task' THEN run.errors || verdict.error
                WHEN run.errors -> -1 ->> 'kind' = 'unknown_task'
                    THEN (run.errors - (-1))
                        || (verdict.error || jsonb_build_object('first_at', run.errors -> -1 -> 'first_at'))
                ELSE run.errors || (verdict.error || jsonb_build_object('first_at', verdict.ended_at))
            END,
            run.failures + verdict.counts_failure::int,
            run.releases + verdict.counts_release::int,
            run.attempts - verdict.undo_attempt::int,
            CASE WHEN verdict.undo_attempt THEN trim_array(run.worker_ids, 1) ELSE run.worker_ids END,
            CASE
                WHEN verdict.status = 'SCHEDULED' THEN clock.moment + verdict.delay_seconds * interval '1 second'
                ELSE run.due_at
            END,
            CASE
                WHEN verdict.undo_attempt THEN run.started_at
                ELSE coalesce(run.started_at, verdict.started_at, run.claimed_at)
            END,
            CASE
                WHEN verdict.undo_attempt THEN run.last_attempted_at
                ELSE coalesce(verdict.started_at, run.claimed_at)
            END,
            CASE
                WHEN verdict.is_cancelled OR verdict.status IN ('SUCCESSFUL', 'FAILED', 'CANCELLED')
                    THEN verdict.ended_at
            END,
            CASE WHEN NOT verdict.is_cancelled THEN verdict.waiting_reason END
        FROM
            (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock,
            LATERAL (SELECT array_position(%(ids)s::bigint[], run.id) AS i OFFSET 0) AS place,
            LATERAL (
                SELECT clock.moment
                    - coalesce((%(ended_ago_seconds)s::float8[])[place.i], 0) * interval '1 second' AS ended_at
                OFFSET 0
            ) AS mark,
            LATERAL (
                SELECT
                    (%(statuses)s::text[])[place.i] AS status,
                    run.cancel_requested_at IS NOT NULL
                        AND (%(statuses)s::text[])[place.i] IN ('READY', 'SCHEDULED') AS is_cancelled,
                    (%(return_values)s::text[])[place.i]::json AS return_value,
                    CASE
                        WHEN (%(errors)s::text[])[place.i] IS NOT NULL
                            THEN (%(errors)s::text[])[place.i]::jsonb || jsonb_build_object(
                                'attempt', run.attempts, 'worker_id', run.worker_id, 'at', mark.ended_at
                            )
                    END AS error,
                    (%(delays_seconds)s::float8[])[place.i] AS delay_seconds,
                    (%(counts_failures)s::bool[])[place.i] AS counts_failure,
                    (%(counts_releases)s::bool[])[place.i] AS counts_release,
                    (%(undo_attempts)s::bool[])[place.i] AS undo_attempt,
                    (%(waiting_reasons)s::text[])[place.i] AS waiting_reason,
                    clock.moment - (%(started_ago_seconds)s::float8[])[place.i] * interval '1 second' AS started_at,
                    mark.ended_at
                OFFSET 0
            ) AS verdict
    ),
    claim_token = NULL,
    worker_id = NULL,
    claimed_at = NULL,
    lease_expires_at = NULL
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = 'RUNNING'
    AND run.claim_token = (%(tokens)s::bigint[])[array_position(%(ids)s::bigint[], run.id)]
RETURNING run.id, run.status
