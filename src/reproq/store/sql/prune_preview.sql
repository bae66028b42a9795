-- What pruning by one rule would delete, by status and queue, from the oldest end to the newest.
SELECT status, queue_name, count(*), min(finished_at), max(finished_at)
FROM task_runs
WHERE
    finished_at < coalesce(%(now)s::timestamptz, now()) - %(age_seconds)s::float8 * interval '1 second'
    AND backend = %(backend)s::text
    AND (
        (status = ANY(%(statuses)s::text[]) AND queue_name <> ALL(%(named)s::text[]))
        OR status || ' ' || queue_name = ANY(%(pairs)s::text[])
    )
GROUP BY status, queue_name
ORDER BY queue_name, status
