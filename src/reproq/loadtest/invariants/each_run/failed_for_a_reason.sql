-- A FAILED run names why: its attempts are used up, or its last error is of a kind that ends a run at once.
SELECT run.id, concat(
    'FAILED with ', run.failures, ' failures of ', run.max_attempts, ', last error: ',
    coalesce(run.errors -> -1 ->> 'kind', 'none')
)
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = 'FAILED'
    AND jsonb_typeof(run.errors) = 'array'
    AND CASE
        WHEN run.errors = '[]' THEN true
        WHEN run.errors -> -1 ->> 'kind' = ANY(%(counted)s::text[]) THEN run.failures < run.max_attempts
        WHEN run.errors -> -1 ->> 'kind' = 'unknown_task' THEN false
        ELSE run.errors -> -1 ->> 'kind' = ANY(%(kinds)s::text[]) AND run.errors -> -1 ->> 'kind' <> ALL(%(final)s::text[])
    END
