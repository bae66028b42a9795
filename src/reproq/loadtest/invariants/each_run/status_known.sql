-- Every status is one of the seven.
SELECT run.id, concat('the status is ', run.status)
FROM task_runs AS run
WHERE run.id = ANY(%(ids)s::bigint[]) AND run.status <> ALL(%(statuses)s::text[])
