-- How many runs there are, counted up to 10,001, and how many workers were seen within the last minute.
SELECT
    (SELECT count(*) FROM (SELECT id FROM task_runs LIMIT 10001) AS run),
    (
        SELECT count(*)
        FROM reproq_workers
        WHERE last_seen_at > coalesce(%(now)s::timestamptz, now()) - interval '1 minute'
    )
