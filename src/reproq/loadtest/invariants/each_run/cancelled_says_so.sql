-- A CANCELLED run has an error that says so.
SELECT run.id, concat('CANCELLED, and its last error is ', coalesce(run.errors -> -1 ->> 'kind', 'none'))
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = 'CANCELLED'
    AND jsonb_typeof(run.errors) = 'array'
    AND NOT run.errors @> '[{"kind": "cancelled"}]'
