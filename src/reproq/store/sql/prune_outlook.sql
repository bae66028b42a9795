-- How many of the `window` oldest runs a rule would delete now, whether there were more, and when the first of the next `window` is due.
WITH
border AS MATERIALIZED (
    SELECT coalesce(%(now)s::timestamptz, now()) - %(age_seconds)s::float8 * interval '1 second' AS ended_before
),
looked AS MATERIALIZED (
    (
        SELECT run.finished_at, run.backend, run.status, run.queue_name, true AS is_over
        FROM task_runs AS run
        WHERE run.finished_at < (SELECT border.ended_before FROM border)
        ORDER BY run.finished_at
        LIMIT %(window)s::int
    )
    UNION ALL
    (
        SELECT run.finished_at, run.backend, run.status, run.queue_name, false AS is_over
        FROM task_runs AS run
        WHERE run.finished_at >= (SELECT border.ended_before FROM border)
        ORDER BY run.finished_at
        LIMIT %(window)s::int
    )
),
judged AS (
    SELECT
        looked.is_over,
        looked.finished_at,
        looked.backend = %(backend)s::text
        AND (
            (looked.status = ANY(%(statuses)s::text[]) AND looked.queue_name <> ALL(%(named)s::text[]))
            OR looked.status || ' ' || looked.queue_name = ANY(%(pairs)s::text[])
        ) AS is_covered
    FROM looked
)
SELECT
    count(*) FILTER (WHERE judged.is_over AND judged.is_covered),
    count(*) FILTER (WHERE judged.is_over) >= %(window)s::int,
    min(judged.finished_at) FILTER (WHERE judged.is_covered AND NOT judged.is_over)
    + %(age_seconds)s::float8 * interval '1 second'
FROM judged
