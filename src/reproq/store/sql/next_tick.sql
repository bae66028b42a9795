-- In how many seconds a scheduler next has something to do, and whether ticks wait for the runs before them.
SELECT
    (
        SELECT extract(epoch FROM min(wake_at) - coalesce(%(now)s::timestamptz, now()))::float8
        FROM periodic_tasks
        WHERE enabled
    ),
    EXISTS (SELECT FROM periodic_tasks WHERE queued_due_at IS NOT NULL AND enabled)
