-- No two workers hold claims under one token.
SELECT min(run.id), concat('the token ', run.claim_token, ' is held by ', string_agg(DISTINCT run.worker_id, ' and '))
FROM task_runs AS run
WHERE run.worker_id IS NOT NULL AND run.claim_token IS NOT NULL
GROUP BY run.claim_token
HAVING count(DISTINCT run.worker_id) > 1
