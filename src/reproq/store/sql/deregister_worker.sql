-- A worker that ends in order takes its row away.
DELETE FROM reproq_workers
WHERE worker_id = %(worker_id)s::text AND pid = %(pid)s::int
