-- Each FAILED run of the batch is READY again, its failures and its expiry forgotten, its errors kept; no other is changed.
UPDATE task_runs
SET
    status = 'READY',
    failures = 0,
    finished_at = NULL,
    cancel_requested_at = NULL,
    expires_at = NULL,
    waiting_reason = NULL,
    due_at = coalesce(%(now)s::timestamptz, now())
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'FAILED'
RETURNING id
