-- How the runs of a queue have ended, and how many of them each worker attempted last.
SELECT status, worker_ids[cardinality(worker_ids)], count(*)
FROM task_runs
WHERE queue_name = %(queue)s::text
GROUP BY 1, 2
