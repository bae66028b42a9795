-- These runs are gone, so that an earlier state of them can be put back.
DELETE FROM task_runs WHERE id = ANY(%(ids)s::bigint[])
