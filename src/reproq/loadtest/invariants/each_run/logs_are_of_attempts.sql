-- A log belongs to an attempt that was made, and counts no fewer than 0 bytes.
SELECT run.id, concat('log of attempt ', log.attempt, ' with ', log.bytes_total, ' bytes, after ', run.attempts, ' attempts')
FROM task_runs AS run
JOIN reproq_logs AS log ON log.run_id = run.id
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND (
        log.bytes_total < 0
        OR log.attempt < 1
        -- the attempt that printed may have been taken back: the next one bears its number
        OR log.attempt > run.attempts + (
            run.status IN ('WAITING', 'SCHEDULED', 'READY', 'CANCELLED')
            OR coalesce(run.errors -> -1 ->> 'kind' IN ('unknown_task', 'expired'), false)
        )::int
    )
