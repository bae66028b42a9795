-- Priority, timeout and times lie within what a worker can read and obey.
SELECT run.id, concat(
    'priority ', run.priority, ', timeout ', run.timeout_seconds, ' s, enqueued ', run.enqueued_at, ', due ', run.due_at
)
FROM task_runs AS run
CROSS JOIN (SELECT '0001-07-01 00:00:00+00'::timestamptz AS first, '9999-07-01 00:00:00+00'::timestamptz AS last) AS readable
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND (
        run.priority NOT BETWEEN -100 AND 100
        OR run.timeout_seconds <= 0
        OR run.timeout_seconds > 2592000
        OR run.enqueued_at NOT BETWEEN readable.first AND readable.last
        OR run.due_at NOT BETWEEN readable.first AND readable.last
        OR run.run_after NOT BETWEEN readable.first AND readable.last
    )
