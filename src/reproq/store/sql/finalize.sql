-- Each claim of the batch ends as its verdict says, if and only if its token still holds; nobody else leaves RUNNING.
UPDATE task_runs
SET
    (
        status, return_value, errors, failures, releases, attempts, worker_ids, due_at,
        started_at, last_attempted_at, finished_at, waiting_reason
    ) = (
        SELECT
            verdict.status,
            verdict.return_value,
            CASE
                WHEN verdict.error IS NULL THEN errors
                WHEN verdict.error ->> 'kind' = 'unknown_task' AND errors -> -1 ->> 'kind' = 'unknown_task'
                    THEN (errors - (-1)) || (verdict.error || jsonb_build_object('first_at', errors -> -1 -> 'first_at'))
                ELSE errors || verdict.error
            END,
            failures + verdict.counts_failure::int,
            releases + verdict.counts_release::int,
            attempts - verdict.undo_attempt::int,
            CASE WHEN verdict.undo_attempt THEN trim_array(worker_ids, 1) ELSE worker_ids END,
            CASE
                WHEN verdict.status = 'SCHEDULED' THEN clock.moment + verdict.delay_seconds * interval '1 second'
                ELSE due_at
            END,
            CASE
                WHEN verdict.undo_attempt THEN task_runs.started_at
                ELSE coalesce(task_runs.started_at, verdict.started_at, claimed_at)
            END,
            CASE WHEN verdict.undo_attempt THEN last_attempted_at ELSE coalesce(verdict.started_at, claimed_at) END,
            CASE WHEN verdict.status IN ('SUCCESSFUL', 'FAILED', 'CANCELLED') THEN verdict.ended_at END,
            verdict.waiting_reason
        FROM
            (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock,
            LATERAL (SELECT array_position(%(ids)s::bigint[], task_runs.id) AS i OFFSET 0) AS place,
            LATERAL (
                SELECT
                    (%(statuses)s::text[])[place.i] AS status,
                    (%(return_values)s::text[])[place.i]::json AS return_value,
                    (%(errors)s::text[])[place.i]::jsonb || jsonb_build_object(
                        'attempt', task_runs.attempts, 'worker_id', task_runs.worker_id,
                        'at', clock.moment, 'first_at', clock.moment
                    ) AS error,
                    (%(delays_seconds)s::float8[])[place.i] AS delay_seconds,
                    (%(counts_failures)s::bool[])[place.i] AS counts_failure,
                    (%(counts_releases)s::bool[])[place.i] AS counts_release,
                    (%(undo_attempts)s::bool[])[place.i] AS undo_attempt,
                    (%(waiting_reasons)s::text[])[place.i] AS waiting_reason,
                    clock.moment - (%(started_ago_seconds)s::float8[])[place.i] * interval '1 second' AS started_at,
                    clock.moment
                    - coalesce((%(ended_ago_seconds)s::float8[])[place.i], 0) * interval '1 second' AS ended_at
                OFFSET 0
            ) AS verdict
    ),
    claim_token = NULL,
    worker_id = NULL,
    claimed_at = NULL,
    lease_expires_at = NULL
WHERE
    id = ANY(%(ids)s::bigint[])
    AND status = 'RUNNING'
    AND claim_token = (%(tokens)s::bigint[])[array_position(%(ids)s::bigint[], id)]
RETURNING id
