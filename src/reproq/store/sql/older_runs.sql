-- The ids up to one of the runs that are unfinished, or finished within the window, read through their partial indexes.
SELECT id FROM task_runs WHERE status = 'READY' AND id <= %(up_to_id)s::bigint
UNION
SELECT id FROM task_runs WHERE status = 'SCHEDULED' AND id <= %(up_to_id)s::bigint
UNION
SELECT id FROM task_runs WHERE worker_id IS NOT NULL AND id <= %(up_to_id)s::bigint
UNION
SELECT id
FROM task_runs
WHERE
    finished_at >= coalesce(%(now)s::timestamptz, now()) - %(window_seconds)s::float8 * interval '1 second'
    AND id <= %(up_to_id)s::bigint
LIMIT %(limit)s::int
