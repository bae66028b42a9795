-- The names of the queues that hold READY runs, by a loose scan of the claim index: one probe a queue.
WITH RECURSIVE queue AS (
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
)
SELECT queue_name FROM queue WHERE queue_name IS NOT NULL
