-- Who bears a worker's id: the host and the process of its row.
SELECT hostname, pid FROM reproq_workers WHERE worker_id = %(worker_id)s::text
