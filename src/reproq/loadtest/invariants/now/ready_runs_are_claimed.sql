-- The most urgent READY run of a live worker's queues does not wait long while that worker has room.
WITH RECURSIVE mark AS (
    SELECT
        clock.moment - %(lease_seconds)s::float8 * interval '1 second' AS a_lease_ago,
        clock.moment - %(grace_seconds)s::float8 * interval '1 second' AS a_grace_ago
    FROM (SELECT coalesce(%(now)s::timestamptz, now()) AS moment) AS clock
), queue AS (
    (SELECT queue_name FROM task_runs WHERE status = 'READY' ORDER BY queue_name LIMIT 1)
    UNION ALL
    SELECT (
        SELECT run.queue_name
        FROM task_runs AS run
        WHERE run.status = 'READY' AND run.queue_name > queue.queue_name
        ORDER BY run.queue_name
        LIMIT 1
    )
    FROM queue
    WHERE queue.queue_name IS NOT NULL
), live AS MATERIALIZED (
    SELECT worker.* FROM reproq_workers AS worker, mark WHERE worker.last_seen_at >= mark.a_lease_ago
), free AS MATERIALIZED (
    SELECT live.worker_id, live.queues
    FROM live, mark
    WHERE
        live.started_at < mark.a_grace_ago
        AND NOT live.draining
        AND live.concurrency > (SELECT count(*) FROM task_runs AS held WHERE held.worker_id = live.worker_id)
), unknown AS MATERIALIZED (
    -- what a worker has found that it does not know, it leaves alone until its code is another
    SELECT DISTINCT run.task_path
    FROM task_runs AS run
    WHERE run.status = 'SCHEDULED' AND run.errors -> -1 ->> 'kind' = 'unknown_task'
), urgent AS (
    SELECT DISTINCT ON (free.worker_id) free.worker_id, queue.queue_name, head.id, head.due_at
    FROM free
    JOIN queue ON
        queue.queue_name = ANY(free.queues)
        -- a worker of all queues may exclude those that others name
        OR ('*' = ANY(free.queues) AND NOT EXISTS (SELECT FROM live WHERE queue.queue_name = ANY(live.queues)))
    CROSS JOIN LATERAL (
        SELECT run.id, run.priority, run.due_at
        FROM task_runs AS run
        WHERE
            run.status = 'READY'
            AND run.queue_name = queue.queue_name
            AND run.task_path NOT IN (SELECT unknown.task_path FROM unknown)
            AND run.errors -> -1 ->> 'kind' IS DISTINCT FROM 'unknown_task'
        ORDER BY run.priority DESC, run.due_at, run.id
        LIMIT 1
    ) AS head
    ORDER BY free.worker_id, head.priority DESC, head.due_at, head.id
)
SELECT urgent.id, concat(
    'READY in queue ', urgent.queue_name, ', due since ', urgent.due_at, '; worker ', urgent.worker_id, ' has room'
)
FROM urgent, mark
WHERE urgent.due_at < mark.a_grace_ago
ORDER BY urgent.worker_id
