-- In how many seconds a scheduler next has something to do, 0 where a list is to be computed anew, and whether ticks wait for the runs before them.
SELECT
    (
        SELECT
            CASE
                WHEN min(wake_at) = 'epoch' THEN 0
                ELSE extract(epoch FROM min(wake_at) - coalesce(%(now)s::timestamptz, now()))::float8
            END
        FROM periodic_tasks
        WHERE enabled
    ),
    EXISTS (SELECT FROM periodic_tasks WHERE queued_due_at IS NOT NULL AND enabled)
