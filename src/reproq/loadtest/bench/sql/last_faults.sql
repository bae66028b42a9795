-- What is known of some of these runs that have not succeeded.
SELECT id, status, left(errors::text, 300) FROM task_runs WHERE id = ANY(%(ids)s::bigint[]) AND status <> 'SUCCESSFUL' LIMIT 3
