-- How many seconds from now the lease ends that ends first of all, asked worker by worker: a plain minimum reads the whole
-- table where its statistics are not there yet.
WITH RECURSIVE holder AS (
    (SELECT worker_id FROM task_runs WHERE worker_id IS NOT NULL ORDER BY worker_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT run.worker_id
        FROM task_runs AS run
        WHERE run.worker_id > holder.worker_id
        ORDER BY run.worker_id
        LIMIT 1
    )
    FROM holder
    WHERE holder.worker_id IS NOT NULL
)
SELECT extract(epoch FROM min(held.soonest) - coalesce(%(now)s::timestamptz, now()))::float8
FROM (
    SELECT (SELECT min(run.lease_expires_at) FROM task_runs AS run WHERE run.worker_id = holder.worker_id) AS soonest
    FROM holder
    WHERE holder.worker_id IS NOT NULL
) AS held
