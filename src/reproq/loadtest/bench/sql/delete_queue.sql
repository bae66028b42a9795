-- Every run of a queue that one bench has made for itself is gone.
DELETE FROM task_runs WHERE queue_name = %(queue)s::text
