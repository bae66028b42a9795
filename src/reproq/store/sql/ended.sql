-- Of these attempts of one worker, those that have ended, and not because somebody found their lease run out.
SELECT run.id
FROM task_runs AS run
CROSS JOIN LATERAL (
    SELECT (%(attempts)s::int[])[array_position(%(ids)s::bigint[], run.id)] AS attempt OFFSET 0
) AS asked
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND (run.status <> 'RUNNING' OR run.attempts > asked.attempt)
    AND (run.worker_ids[asked.attempt] = %(worker_id)s::text OR run.attempts < asked.attempt)
    AND NOT run.errors @> jsonb_build_array(jsonb_build_object('kind', 'lease_expired', 'attempt', asked.attempt))
