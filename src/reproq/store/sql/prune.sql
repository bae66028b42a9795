-- Of the next `limit` runs of a backend by the time of their end, those that the rule covers and whose age is up are deleted with their logs.
WITH
-- One at a time prunes: whoever comes second looks at nothing. What a crash brings back is deleted again, so no flush is waited for.
turn AS MATERIALIZED (
    SELECT
        pg_try_advisory_xact_lock(1919250034, to_regclass('task_runs')::oid::int) AS is_ours,
        set_config('synchronous_commit', 'off', true)
),
asked AS MATERIALIZED (
    SELECT
        coalesce(%(now)s::timestamptz, now()) - %(age_seconds)s::float8 * interval '1 second' AS ended_before,
        %(after_at)s::timestamptz AS after_at,
        %(after_id)s::bigint AS after_id
),
looked AS MATERIALIZED (
    SELECT
        run.id,
        run.finished_at,
        run.backend = %(backend)s::text
        AND (
            (run.status = ANY(%(statuses)s::text[]) AND run.queue_name <> ALL(%(named)s::text[]))
            OR (cardinality(%(pairs)s::text[]) > 0 AND run.status || ' ' || run.queue_name = ANY(%(pairs)s::text[]))
        ) AS is_covered
    FROM task_runs AS run
    WHERE
        (SELECT turn.is_ours FROM turn)
        AND run.finished_at >= (SELECT asked.after_at FROM asked)
        AND run.finished_at < (SELECT asked.ended_before FROM asked)
        AND (run.finished_at, run.id) > ((SELECT asked.after_at FROM asked), (SELECT asked.after_id FROM asked))
    ORDER BY run.finished_at, run.id
    LIMIT %(limit)s::int
),
-- Looked at again under its lock: somebody may have retried it meanwhile. What somebody holds is left for the next round.
doomed AS MATERIALIZED (
    SELECT run.id
    FROM task_runs AS run
    WHERE
        run.id = ANY(ARRAY(SELECT looked.id FROM looked WHERE looked.is_covered))
        AND run.finished_at < (SELECT asked.ended_before FROM asked)
    ORDER BY run.id
    FOR UPDATE SKIP LOCKED
),
printed AS (
    DELETE FROM reproq_logs
    WHERE run_id = ANY(ARRAY(SELECT doomed.id FROM doomed))
),
gone AS (
    DELETE FROM task_runs
    WHERE id = ANY(ARRAY(SELECT doomed.id FROM doomed))
    RETURNING id
)
SELECT turn.is_ours, (SELECT count(*) FROM gone), (SELECT count(*) FROM looked), last.finished_at, last.id
FROM turn
LEFT JOIN LATERAL (
    SELECT looked.finished_at, looked.id
    FROM looked
    ORDER BY looked.finished_at DESC, looked.id DESC
    LIMIT 1
) AS last ON true
