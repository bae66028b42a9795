-- The next tick of a periodic task is left out: it is noted as skipped, and its moment leaves the list.
WITH job AS MATERIALIZED (
    SELECT id, upcoming FROM periodic_tasks WHERE name = %(name)s::text AND cardinality(upcoming) > 0 FOR UPDATE
), noted AS (
    INSERT INTO reproq_ticks (periodic_task_id, due_at, outcome, decided_at)
    SELECT job.id, job.upcoming[1], 'skipped', coalesce(%(now)s::timestamptz, now()) FROM job
    ON CONFLICT (periodic_task_id, due_at) DO NOTHING
)
UPDATE periodic_tasks
SET upcoming = job.upcoming[2:]
FROM job
WHERE periodic_tasks.id = job.id
RETURNING job.upcoming[1]
