-- Failures never exceed max_attempts, and stay below it while the run may still be tried.
SELECT run.id, concat('the run is ', run.status, ' with ', run.failures, ' failures of ', run.max_attempts)
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = ANY(%(statuses)s::text[])
    AND (
        run.failures > run.max_attempts
        OR run.max_attempts < 1
        OR (run.failures = run.max_attempts AND run.status <> ALL(%(finished)s::text[]))
    )
