-- Of these claims, those that are still ours and whose run is to be cancelled.
SELECT id
FROM task_runs
WHERE
    id = ANY(%(ids)s::bigint[])
    AND status = 'RUNNING'
    AND claim_token = (%(tokens)s::bigint[])[array_position(%(ids)s::bigint[], id)]
    AND cancel_requested_at IS NOT NULL
