-- The newest ids up to one, newest first, each with whether its run was enqueued within the window, if there is a window.
SELECT
    id,
    %(window_seconds)s::float8 IS NULL
    OR enqueued_at >= coalesce(%(now)s::timestamptz, now()) - %(window_seconds)s::float8 * interval '1 second'
FROM task_runs
WHERE id <= %(up_to_id)s::bigint
ORDER BY id DESC
LIMIT %(limit)s::int
