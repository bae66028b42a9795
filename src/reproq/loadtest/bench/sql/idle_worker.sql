-- A worker that waits to be woken for these queues, or for none, has a row.
INSERT INTO reproq_workers (worker_id, idle_queues) VALUES (%(worker_id)s::text, %(queues)s::text[])
ON CONFLICT (worker_id) DO UPDATE SET idle_queues = excluded.idle_queues
