-- Periodic tasks whose list of moments is to be computed now, locked until it is written; what others hold is theirs.
SELECT
    id, name, cron_expr, time_zone, jitter_seconds, catch_up, catch_up_bound,
    start_at AT TIME ZONE 'UTC', end_at AT TIME ZONE 'UTC', computed_until AT TIME ZONE 'UTC',
    coalesce(%(now)s::timestamptz, now()) AT TIME ZONE 'UTC'
FROM periodic_tasks
WHERE
    enabled
    AND wake_at <= coalesce(%(now)s::timestamptz, now())
    AND refill_at <= coalesce(%(now)s::timestamptz, now())
    AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s::text[]))
ORDER BY wake_at
LIMIT %(limit)s::int
FOR UPDATE SKIP LOCKED
