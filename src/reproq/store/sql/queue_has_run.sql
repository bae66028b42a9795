-- Whether any run is, or was, in this queue.
SELECT EXISTS (SELECT FROM task_runs WHERE queue_name = %(queue_name)s::text)
