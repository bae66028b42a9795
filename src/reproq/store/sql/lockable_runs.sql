-- Of these runs those whose rows nobody holds just now; it waits for none.
SELECT id
FROM task_runs
WHERE id = ANY(%(ids)s::bigint[])
FOR NO KEY UPDATE SKIP LOCKED
