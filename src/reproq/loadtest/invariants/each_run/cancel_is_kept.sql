-- A run that somebody asked to cancel does not wait for another attempt.
SELECT run.id, concat('the run is ', run.status, ', though a cancel was asked for at ', run.cancel_requested_at)
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status IN ('WAITING', 'SCHEDULED', 'READY')
    AND run.cancel_requested_at IS NOT NULL
