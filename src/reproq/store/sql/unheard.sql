-- The claims that this worker holds under these tokens, but for those whose rows somebody holds, which are left to their
-- leases: it asked for them, and the answer never came.
SELECT id, claim_token, attempts, failures, releases, max_attempts, spec_hash
FROM task_runs
WHERE worker_id = %(worker_id)s::text AND claim_token = ANY(%(tokens)s::bigint[])
ORDER BY id
FOR NO KEY UPDATE SKIP LOCKED
