-- The moments that these runs have returned, of those that succeeded.
SELECT id, (return_value::text)::float8 FROM task_runs WHERE id = ANY(%(ids)s::bigint[]) AND status = 'SUCCESSFUL'
