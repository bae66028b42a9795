-- A run has a return value if and only if it is SUCCESSFUL.
SELECT run.id, concat(
    'the run is ', run.status, CASE WHEN run.return_value IS NULL THEN ' without' ELSE ' with' END, ' a return value'
)
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = ANY(%(statuses)s::text[])
    AND (run.status = 'SUCCESSFUL') <> (run.return_value IS NOT NULL)
