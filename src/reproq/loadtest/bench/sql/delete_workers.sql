-- The rows of workers that one bench has named after its queue are gone.
DELETE FROM reproq_workers WHERE starts_with(worker_id, %(queue)s::text)
