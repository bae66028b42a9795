-- A RUNNING run has token, worker, claim time and lease; every other run has none of them.
SELECT run.id, concat('the run is ', run.status, ', with ', num_nonnulls(
    run.claim_token, run.worker_id, run.claimed_at, run.lease_expires_at
), ' of the 4 columns of a claim')
FROM task_runs AS run
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND run.status = ANY(%(statuses)s::text[])
    AND num_nonnulls(run.claim_token, run.worker_id, run.claimed_at, run.lease_expires_at)
    <> CASE run.status WHEN 'RUNNING' THEN 4 ELSE 0 END
