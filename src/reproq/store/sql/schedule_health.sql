-- How many periodic tasks are on, paused and at fault, and those that are overdue, the longest first, with the seconds.
SELECT
    count(*) FILTER (WHERE enabled),
    count(*) FILTER (WHERE NOT enabled),
    count(*) FILTER (WHERE enabled AND fault <> ''),
    coalesce(
        (
            SELECT json_object_agg(late.name, late.seconds)
            FROM (
                SELECT
                    name, extract(epoch FROM coalesce(%(now)s::timestamptz, now()) - wake_at)::float8 AS seconds
                FROM periodic_tasks
                WHERE
                    enabled
                    AND wake_at < coalesce(%(now)s::timestamptz, now()) - %(late_seconds)s::float8 * interval '1 second'
                ORDER BY wake_at
                LIMIT %(limit)s::int
            ) AS late
        ),
        '{}'
    )
FROM periodic_tasks
