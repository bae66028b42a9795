-- A run whose worker is lost does not stay RUNNING while another worker is alive to rescue it and no transaction locks it.
SELECT run.id, concat('the lease ended at ', run.lease_expires_at, ', worker ', run.worker_id, ' is lost, others are alive')
FROM task_runs AS run
CROSS JOIN (
    SELECT
        clock.moment - %(lease_seconds)s::float8 * interval '1 second' AS a_lease_ago,
        clock.moment - %(grace_seconds)s::float8 * interval '1 second' AS a_grace_ago
    FROM (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock
) AS mark
CROSS JOIN LATERAL (
    SELECT run.xmax::text::numeric AS xid, pg_snapshot_xmax(pg_current_snapshot())::text::numeric AS newest
) AS raw
WHERE
    run.worker_id IS NOT NULL
    AND run.lease_expires_at < mark.a_grace_ago
    AND CASE
        WHEN age(run.xmax) > 0
            THEN pg_xact_status((
                greatest(raw.xid + 4294967296 * round((raw.newest - raw.xid) / 4294967296), 0)
            )::text::xid8) IS DISTINCT FROM 'in progress'
        ELSE true
    END
    AND NOT EXISTS (
        SELECT FROM reproq_workers AS worker
        WHERE worker.worker_id = run.worker_id AND worker.last_seen_at >= mark.a_lease_ago
    )
    AND EXISTS (
        SELECT FROM reproq_workers AS worker
        WHERE worker.last_seen_at >= mark.a_lease_ago AND worker.started_at < mark.a_grace_ago AND NOT worker.draining
    )
    AND (%(now)s::timestamptz IS NOT NULL OR pg_postmaster_start_time() < mark.a_grace_ago)
