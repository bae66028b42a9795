-- A worker that is alive renews the lease of every run that it holds, unless a transaction locks the row.
SELECT run.id, concat('the lease ended at ', run.lease_expires_at, ', and worker ', run.worker_id, ' is alive')
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
            )::text::xid8) IS DISTINCT FROM 'in progress'
        ELSE true
    END
    AND EXISTS (
        SELECT FROM reproq_workers AS worker
        WHERE
            worker.worker_id = run.worker_id
            AND worker.last_seen_at >= clock.moment - %(lease_seconds)s::float8 * interval '1 second'
            AND worker.started_at < clock.moment - %(grace_seconds)s::float8 * interval '1 second'
    )
