-- The worker that holds a RUNNING run is the one that made its last attempt.
SELECT run.id, concat('held by ', run.worker_id, ', last attempted by ', coalesce(last.worker_id, 'nobody'))
FROM task_runs AS run
CROSS JOIN LATERAL (SELECT run.worker_ids[cardinality(run.worker_ids)] AS worker_id) AS last
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = 'RUNNING'
    AND run.worker_id IS DISTINCT FROM last.worker_id
    AND run.worker_id IS NOT NULL
