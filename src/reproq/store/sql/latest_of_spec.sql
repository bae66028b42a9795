-- The newest finished run of a spec, found through the replay index.
SELECT id
FROM task_runs
WHERE
    left(spec_hash, 12) = left(%(spec_hash)s::text, 12)
    AND spec_hash = %(spec_hash)s::text
    AND finished_at IS NOT NULL
ORDER BY finished_at DESC, id DESC
LIMIT 1
