-- How many seconds from now the lease ends that ends first of all.
SELECT extract(epoch FROM min(lease_expires_at) - coalesce(%(now)s::timestamptz, now()))::float8
FROM task_runs
WHERE worker_id IS NOT NULL
