-- The number of attempts is the number of workers that made them.
SELECT run.id, concat(run.attempts, ' attempts by ', cardinality(run.worker_ids), ' workers')
FROM task_runs AS run
WHERE run.id = ANY(%(ids)s::bigint[]) AND run.attempts <> cardinality(run.worker_ids)
