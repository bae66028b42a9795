-- Whether one run has ended.
SELECT finished_at IS NOT NULL FROM task_runs WHERE id = %(run_id)s::bigint
