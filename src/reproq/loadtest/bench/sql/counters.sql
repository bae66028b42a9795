-- What the server has counted so far: its clock, commits and deadlocks of this database, its write-ahead log.
SELECT
    extract(epoch FROM clock_timestamp())::float8,
    activity.xact_commit,
    activity.deadlocks,
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint,
    pg_current_wal_flush_lsn()::text
FROM pg_stat_database AS activity
WHERE activity.datname = current_database()
