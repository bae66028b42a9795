-- A run has finished_at if and only if it is finished.
SELECT run.id, concat('the run is ', run.status, ', and finished_at is ', coalesce(run.finished_at::text, 'NULL'))
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = ANY(%(statuses)s::text[])
    AND (run.status = ANY(%(finished)s::text[])) <> (run.finished_at IS NOT NULL)
