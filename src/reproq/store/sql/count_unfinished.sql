-- How many runs are not finished, by status, read from the partial indexes alone.
SELECT 'READY', count(*) FROM task_runs WHERE status = 'READY'
UNION ALL
SELECT 'SCHEDULED', count(*) FROM task_runs WHERE status = 'SCHEDULED'
UNION ALL
SELECT 'RUNNING', count(*) FROM task_runs WHERE worker_id IS NOT NULL
