-- A worker that ends in order takes its row away, unless another process has taken it over.
DELETE FROM reproq_workers
WHERE worker_id = %(worker_id)s::text AND hostname = %(hostname)s::text AND pid = %(pid)s::int
