-- Every run as the rules see it, and its whole row as text, from which it can be restored.
SELECT
    id, status, attempts, worker_ids, failures, max_attempts, releases, claim_token, worker_id, lease_expires_at, due_at,
    finished_at, return_value::text, jsonb_array_length(errors), errors -> -1 ->> 'kind', errors -> -1 ->> 'message',
    waiting_reason, run::text
FROM task_runs AS run
ORDER BY id
