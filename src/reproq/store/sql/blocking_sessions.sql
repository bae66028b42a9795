-- Each session that a waiting one waits for, itself or through others: what it calls itself, and since when its transaction is open.
WITH RECURSIVE ahead (pid) AS (
    SELECT unnest(pg_blocking_pids(%(pid)s::int))
    UNION
    SELECT unnest(pg_blocking_pids(ahead.pid)) FROM ahead
    WHERE ahead.pid <> 0
)

SELECT
    ahead.pid,
    coalesce(activity.application_name, ''),
    activity.xact_start,
    coalesce(activity.state, '')
FROM ahead
LEFT JOIN pg_stat_activity AS activity ON activity.pid = ahead.pid
WHERE ahead.pid = 0 OR cardinality(pg_blocking_pids(ahead.pid)) = 0
ORDER BY activity.xact_start NULLS LAST, ahead.pid
