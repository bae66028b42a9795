-- Periodic tasks that cannot be computed or fired say why, and are tried again later; those that say something new come back.
UPDATE periodic_tasks
SET
    fault = (%(faults)s::text[])[array_position(%(names)s::text[], periodic_tasks.name)],
    refill_at = coalesce(%(now)s::timestamptz, now()) + %(delay_seconds)s::float8 * interval '1 second'
FROM (
    SELECT id, fault FROM periodic_tasks WHERE name = ANY(%(names)s::text[]) ORDER BY id FOR UPDATE
) AS before
WHERE periodic_tasks.id = before.id
RETURNING periodic_tasks.name, periodic_tasks.fault, periodic_tasks.fault <> before.fault
