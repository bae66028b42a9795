-- No schedule waits so long after it was due while a scheduler lives.
WITH mark AS (
    SELECT
        clock.moment - %(lease_seconds)s::float8 * interval '1 second' AS a_lease_ago,
        clock.moment - %(grace_seconds)s::float8 * interval '1 second' AS a_grace_ago
    FROM (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock
)
SELECT job.name, concat('due since ', job.next_run_at)
FROM periodic_tasks AS job CROSS JOIN mark
WHERE
    job.enabled
    AND job.fault = ''
    AND job.next_run_at < mark.a_grace_ago
    AND EXISTS (
        SELECT FROM reproq_workers AS worker
        WHERE
            worker.beats
            AND worker.last_seen_at >= mark.a_lease_ago
            AND worker.started_at < mark.a_grace_ago
            AND NOT worker.draining
    )
ORDER BY job.name
