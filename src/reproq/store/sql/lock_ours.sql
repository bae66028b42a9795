-- Of these claims, those that are still ours, locked until the transaction ends, but for those whose rows somebody holds.
SELECT id, cancel_requested_at IS NOT NULL
FROM task_runs
WHERE
    id = ANY(%(ids)s::bigint[])
    AND status = 'RUNNING'
    AND claim_token = (%(tokens)s::bigint[])[width_bucket(id, %(ids)s::bigint[])]
FOR NO KEY UPDATE SKIP LOCKED
