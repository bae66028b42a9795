-- How many of the workers that serve a queue wait to be woken for it.
SELECT count(*) FROM reproq_workers WHERE starts_with(worker_id, %(prefix)s::text) AND %(queue)s::text = ANY(idle_queues)
