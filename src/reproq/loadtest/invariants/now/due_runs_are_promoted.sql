-- No SCHEDULED run stays so long after it fell due while a live worker has room.
WITH mark AS (
    SELECT
        clock.moment - %(lease_seconds)s::float8 * interval '1 second' AS a_lease_ago,
        clock.moment - %(grace_seconds)s::float8 * interval '1 second' AS a_grace_ago
    FROM (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock
), head AS (
    SELECT run.id, run.due_at FROM task_runs AS run WHERE run.status = 'SCHEDULED' ORDER BY run.due_at, run.id LIMIT 1
)
SELECT head.id, concat('SCHEDULED, and due since ', head.due_at)
FROM head CROSS JOIN mark
WHERE
    head.due_at < mark.a_grace_ago
    AND EXISTS (
        SELECT FROM reproq_workers AS worker
        WHERE
            worker.last_seen_at >= mark.a_lease_ago
            AND worker.started_at < mark.a_grace_ago
            AND NOT worker.draining
            AND worker.concurrency > (SELECT count(*) FROM task_runs AS held WHERE held.worker_id = worker.worker_id)
    )
