-- Of these runs, those whose rows a transaction holds that is not over, and its session, as far as it can be told: what a
-- released savepoint has locked bears the number of no session, and then the only one that may have locked rows is named.
WITH held AS MATERIALIZED (
    SELECT run.id, run.xmax AS xid
    FROM task_runs AS run
    CROSS JOIN LATERAL (
        SELECT run.xmax::text::numeric AS xid, pg_snapshot_xmax(pg_current_snapshot())::text::numeric AS newest
    ) AS raw
    WHERE
        run.id = ANY(%(ids)s::bigint[])
        AND CASE
            WHEN age(run.xmax) > 0
                THEN pg_xact_status((
                    greatest(raw.xid + 4294967296 * round((raw.newest - raw.xid) / 4294967296), 0)
                )::text::xid8) = 'in progress'
        END
), lock AS MATERIALIZED (
    SELECT one.pid, one.transactionid, one.relation
    FROM pg_locks AS one
    WHERE
        one.granted
        AND (
            (one.locktype = 'transactionid' AND one.mode = 'ExclusiveLock')
            OR (
                one.relation = 'task_runs'::regclass
                AND one.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND one.mode <> 'AccessShareLock'
                AND one.pid <> pg_backend_pid()
            )
        )
)
SELECT
    named.id,
    named.pid,
    session.application_name,
    extract(epoch FROM clock_timestamp() - coalesce(session.xact_start, prepared.prepared))::float8,
    prepared.gid
FROM (
    SELECT
        held.id,
        held.xid,
        coalesce(
            (SELECT lock.pid FROM lock WHERE lock.transactionid = held.xid),
            (
                SELECT min(writer.pid)
                FROM pg_stat_activity AS writer
                WHERE
                    writer.backend_xid IS NOT NULL
                    AND writer.pid IN (SELECT lock.pid FROM lock WHERE lock.relation IS NOT NULL)
                HAVING count(*) = 1
            )
        ) AS pid
    FROM held
) AS named
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = named.xid
LEFT JOIN pg_stat_activity AS session ON session.pid = named.pid AND prepared.gid IS NULL
