-- Periodic tasks whose list of moments is to be computed now, locked until it is written; what others hold is theirs.
SELECT
    id, name, cron_expr, time_zone, jitter_seconds, start_at, end_at, catch_up, catch_up_bound, computed_until,
    coalesce(%(now)s::timestamptz, now())
FROM periodic_tasks
WHERE
    enabled
    AND wake_at <= coalesce(%(now)s::timestamptz, now())
    AND refill_at <= coalesce(%(now)s::timestamptz, now())
    AND (%(names)s::text[] IS NULL OR name = ANY(%(names)s::text[]))
ORDER BY wake_at
LIMIT %(limit)s::int
FOR UPDATE SKIP LOCKED
