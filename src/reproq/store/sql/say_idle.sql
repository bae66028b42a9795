-- The worker's row says for which queues it waits, none when it is busy; this commit may be lost.
UPDATE reproq_workers
SET idle_queues = %(queues)s::text[]
WHERE
    (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    AND worker_id = %(worker_id)s::text AND hostname = %(hostname)s::text AND pid = %(pid)s::int
