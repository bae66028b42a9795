-- The transactions that a waiting session waits for, itself or through others: their sessions, or the names of prepared ones.
WITH RECURSIVE ahead (pid) AS (
    SELECT unnest(pg_blocking_pids(%(pid)s::int))
    UNION
    SELECT unnest(pg_blocking_pids(ahead.pid)) FROM ahead
    WHERE ahead.pid <> 0
)

SELECT
    nullif(ahead.pid, 0),
    activity.application_name,
    extract(epoch FROM clock_timestamp() - activity.xact_start)::float8,
    CASE WHEN ahead.pid = 0 THEN (
        SELECT string_agg(one.gid, ' or ' ORDER BY one.prepared) FROM pg_prepared_xacts AS one
        WHERE one.database = current_database()
    ) END
FROM ahead
LEFT JOIN pg_stat_activity AS activity ON activity.pid = ahead.pid
WHERE ahead.pid = 0 OR cardinality(pg_blocking_pids(ahead.pid)) = 0
ORDER BY activity.xact_start NULLS LAST, ahead.pid
