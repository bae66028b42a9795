-- These runs are gone.
DELETE FROM task_runs WHERE id = ANY(%(ids)s::bigint[])
