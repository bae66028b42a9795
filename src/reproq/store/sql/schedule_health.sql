-- How many periodic tasks are on, paused and at fault, which are overdue for how long (NULL: nobody has looked since they changed), how late the newest ticks were, and when a scheduler was last seen.
WITH newest AS (
    SELECT greatest(extract(epoch FROM tick.decided_at - tick.due_at), 0)::float8 AS lag_seconds
    FROM (SELECT * FROM reproq_ticks ORDER BY id DESC LIMIT %(newest)s::int) AS tick
    WHERE tick.run_id IS NOT NULL
)
SELECT
    count(*) FILTER (WHERE enabled),
    count(*) FILTER (WHERE NOT enabled),
    count(*) FILTER (WHERE enabled AND fault <> ''),
    coalesce(
        (
            SELECT json_object_agg(late.name, late.seconds)
            FROM (
                SELECT
                    name,
                    extract(epoch FROM coalesce(%(now)s::timestamptz, now()) - nullif(wake_at, 'epoch'))::float8 AS seconds
                FROM periodic_tasks
                WHERE
                    enabled
                    AND wake_at < coalesce(%(now)s::timestamptz, now()) - %(late_seconds)s::float8 * interval '1 second'
                ORDER BY wake_at
                LIMIT %(limit)s::int
            ) AS late
        ),
        '{}'
    ),
    (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY newest.lag_seconds) FROM newest),
    (SELECT max(newest.lag_seconds) FROM newest),
    (
        SELECT extract(epoch FROM coalesce(%(now)s::timestamptz, now()) - max(last_seen_at))::float8
        FROM reproq_workers
        WHERE beats
    )
FROM periodic_tasks
