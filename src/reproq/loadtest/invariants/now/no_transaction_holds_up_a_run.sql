-- No transaction locks the row of a run until long after its lease has ended, so that nobody can renew or end it.
WITH held AS MATERIALIZED (
    SELECT run.id, run.lease_expires_at, run.xmax AS xid
    FROM task_runs AS run
    CROSS JOIN (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock
    CROSS JOIN LATERAL (
        SELECT run.xmax::text::numeric AS xid, pg_snapshot_xmax(pg_current_snapshot())::text::numeric AS newest
    ) AS raw
    WHERE
        run.worker_id IS NOT NULL
        AND run.lease_expires_at < clock.moment - %(grace_seconds)s::float8 * interval '1 second'
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
            )
        )
), named AS (
    SELECT
        held.*,
        coalesce(
            (SELECT lock.pid FROM lock WHERE lock.transactionid = held.xid),
            (
                -- what a released savepoint has locked bears the number of no session
                SELECT min(writer.pid)
                FROM pg_stat_activity AS writer
                WHERE
                    writer.backend_xid IS NOT NULL
                    AND writer.pid IN (SELECT lock.pid FROM lock WHERE lock.relation IS NOT NULL)
                HAVING count(*) = 1
            )
        ) AS pid
    FROM held
)
SELECT named.id, concat(
    'the lease ended at ', named.lease_expires_at, ', and ',
    CASE
        WHEN prepared.gid IS NOT NULL THEN concat('the prepared transaction ', prepared.gid)
        WHEN named.pid IS NULL THEN 'a transaction'
        ELSE concat('the transaction of pid ', named.pid, ' (' || nullif(session.application_name, '') || ')')
    END,
    ', open since ' || coalesce(session.xact_start, prepared.prepared), ', locks the row'
)
FROM named
LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = named.xid
LEFT JOIN pg_stat_activity AS session ON session.pid = named.pid AND prepared.gid IS NULL
ORDER BY named.id
