-- How many of the `window` oldest runs a rule would delete now, whether there were more, and when the first of the next `window` is due.
WITH
oldest AS MATERIALIZED (
    SELECT
        run.backend = %(backend)s::text
        AND (
            (run.status = ANY(%(statuses)s::text[]) AND run.queue_name <> ALL(%(named)s::text[]))
            OR run.status || ' ' || run.queue_name = ANY(%(pairs)s::text[])
        ) AS is_covered
    FROM task_runs AS run
    WHERE run.finished_at < coalesce(%(now)s::timestamptz, now()) - %(age_seconds)s::float8 * interval '1 second'
    ORDER BY run.finished_at
    LIMIT %(window)s::int
),
coming AS MATERIALIZED (
    SELECT
        run.finished_at,
        run.backend = %(backend)s::text
        AND (
            (run.status = ANY(%(statuses)s::text[]) AND run.queue_name <> ALL(%(named)s::text[]))
            OR run.status || ' ' || run.queue_name = ANY(%(pairs)s::text[])
        ) AS is_covered
    FROM task_runs AS run
    WHERE run.finished_at >= coalesce(%(now)s::timestamptz, now()) - %(age_seconds)s::float8 * interval '1 second'
    ORDER BY run.finished_at
    LIMIT %(window)s::int
)
SELECT
    (SELECT count(*) FROM oldest WHERE oldest.is_covered),
    (SELECT count(*) >= %(window)s::int FROM oldest),
    (
        SELECT min(coming.finished_at) + %(age_seconds)s::float8 * interval '1 second'
        FROM coming
        WHERE coming.is_covered
    )
