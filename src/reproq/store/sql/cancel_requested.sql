-- Of these claims, those that are still ours and whose run is to be cancelled.
SELECT id, true
FROM task_runs
WHERE
    id = ANY(%(ids)s::bigint[])
    AND status = 'RUNNING'
    AND claim_token = (%(tokens)s::bigint[])[width_bucket(id, %(ids)s::bigint[])]
    AND cancel_requested_at IS NOT NULL
