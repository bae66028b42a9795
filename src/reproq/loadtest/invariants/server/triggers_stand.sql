-- The triggers that fill a run, keep its spec, settle a periodic task and wake workers for its ticks are there, and enabled.
SELECT expected.name, CASE WHEN found.tgname IS NULL THEN 'the trigger is missing' ELSE 'the trigger is disabled' END
FROM (
    VALUES
        ('task_runs', 'reproq_fill'),
        ('task_runs', 'reproq_spec_immutable'),
        ('periodic_tasks', 'reproq_settle'),
        ('reproq_ticks', 'reproq_wake_workers')
) AS expected (table_name, name)
LEFT JOIN pg_trigger AS found ON found.tgrelid = to_regclass(expected.table_name) AND found.tgname = expected.name
WHERE found.tgenabled IS NULL OR found.tgenabled NOT IN ('O', 'A')
ORDER BY expected.name
