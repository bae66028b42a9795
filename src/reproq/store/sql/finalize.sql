-- Each claim of the batch ends as its verdict says (where that means another attempt, unless its run is to be cancelled)
-- if and only if its token still holds; nobody else leaves RUNNING, and nobody who holds a row is waited for for long.
UPDATE task_runs AS run
SET
    (
        status, return_value, errors, failures, releases, attempts, worker_ids, due_at,
        started_at, last_attempted_at, finished_at, waiting_reason
    ) = (
        SELECT
            CASE
                WHEN run.cancel_requested_at IS NOT NULL AND (%(statuses)s::text[])[i] IN ('READY', 'SCHEDULED')
                    THEN 'CANCELLED'
                ELSE coalesce((%(statuses)s::text[])[i], 'SUCCESSFUL')
            END,
            (%(return_values)s::text[])[i]::json,
            CASE
                WHEN run.cancel_requested_at IS NULL AND (%(errors)s::text[])[i] IS NULL THEN run.errors
                ELSE (
                    SELECT
                        CASE
                            WHEN run.cancel_requested_at IS NOT NULL
                                AND (%(statuses)s::text[])[i] IN ('READY', 'SCHEDULED')
                                THEN run.errors || coalesce(told.error, '[]'::jsonb) || (%(cancelled)s::jsonb || told.stamp)
                            WHEN told.error IS NULL THEN run.errors
                            WHEN told.error ->> 'kind' <> 'unknown_task' THEN run.errors || told.error
                            WHEN run.errors -> -1 ->> 'kind' = 'unknown_task'
                                THEN (run.errors - (-1))
                                    || (told.error || jsonb_build_object('first_at', run.errors -> -1 -> 'first_at'))
                            ELSE run.errors || (told.error || jsonb_build_object('first_at', told.stamp -> 'at'))
                        END
                    FROM (
                        SELECT stamp, (%(errors)s::text[])[i]::jsonb || stamp AS error
                        FROM jsonb_build_object(
                            'attempt', run.attempts, 'worker_id', run.worker_id, 'at',
                            moment - coalesce((%(ended_ago_seconds)s::float8[])[i], 0) * interval '1 second'
                        ) AS stamp
                    ) AS told
                )
            END,
            run.failures + coalesce((%(counts_failures)s::bool[])[i]::int, 0),
            run.releases + coalesce((%(counts_releases)s::bool[])[i]::int, 0),
            run.attempts - coalesce((%(undo_attempts)s::bool[])[i]::int, 0),
            CASE WHEN (%(undo_attempts)s::bool[])[i] THEN trim_array(run.worker_ids, 1) ELSE run.worker_ids END,
            CASE
                WHEN (%(statuses)s::text[])[i] = 'SCHEDULED'
                    THEN moment + (%(delays_seconds)s::float8[])[i] * interval '1 second'
                ELSE run.due_at
            END,
            CASE
                WHEN run.started_at IS NOT NULL OR (%(undo_attempts)s::bool[])[i] THEN run.started_at
                ELSE coalesce(
                    moment - (%(started_ago_seconds)s::float8[])[i] * interval '1 second', run.claimed_at
                )
            END,
            CASE
                WHEN (%(undo_attempts)s::bool[])[i] THEN run.last_attempted_at
                ELSE coalesce(
                    moment - (%(started_ago_seconds)s::float8[])[i] * interval '1 second', run.claimed_at
                )
            END,
            CASE
                WHEN run.cancel_requested_at IS NOT NULL
                    OR coalesce((%(statuses)s::text[])[i], '') NOT IN ('READY', 'SCHEDULED')
                    THEN moment - coalesce((%(ended_ago_seconds)s::float8[])[i], 0) * interval '1 second'
            END,
            CASE WHEN run.cancel_requested_at IS NULL THEN (%(waiting_reasons)s::text[])[i] END
        -- The ids are sorted, so that width_bucket finds the place of a run by halving where array_position would walk. A
        -- text in an array is found by walking, too: an array that would say the usual of all runs is NULL instead.
        FROM (
            SELECT
                width_bucket(run.id, %(ids)s::bigint[]) AS i,
                coalesce(%(now)s::timestamptz, now()) AS moment
            OFFSET 0
        ) AS place
    ),
    claim_token = NULL,
    worker_id = NULL,
    claimed_at = NULL,
    lease_expires_at = NULL
WHERE
    (SELECT set_config('lock_timeout', %(lock_timeout)s::text, true)) IS NOT NULL
    AND run.id = ANY(%(ids)s::bigint[])
    AND run.status = 'RUNNING'
    AND run.claim_token = (%(tokens)s::bigint[])[width_bucket(run.id, %(ids)s::bigint[])]
RETURNING run.id, run.status
