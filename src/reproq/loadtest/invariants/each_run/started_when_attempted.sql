-- A run has its times of start if and only if an attempt of it has ended or was given back after it began.
SELECT run.id, concat(
    'the run is ', run.status, ' after ', run.attempts, ' attempts, started ', coalesce(run.started_at::text, 'never'),
    ', last started ', coalesce(run.last_attempted_at::text, 'never')
)
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = ANY(%(statuses)s::text[])
    AND run.attempts = cardinality(run.worker_ids)
    AND (
        (run.started_at IS NULL) <> (run.last_attempted_at IS NULL)
        OR (
            (run.started_at IS NULL) <> (run.attempts - (run.status = 'RUNNING')::int <= 0)
            -- claimed, but ended before its task began
            AND run.status <> 'CANCELLED'
            AND run.errors -> -1 ->> 'kind' IS DISTINCT FROM 'expired'
        )
    )
