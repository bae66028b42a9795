-- The triggers that fill a run and keep its spec are there, and enabled.
SELECT expected.name, CASE WHEN found.tgname IS NULL THEN 'the trigger is missing' ELSE 'the trigger is disabled' END
FROM (VALUES ('reproq_fill'), ('reproq_spec_immutable')) AS expected (name)
LEFT JOIN pg_trigger AS found ON found.tgrelid = to_regclass('task_runs') AND found.tgname = expected.name
WHERE found.tgenabled IS NULL OR found.tgenabled NOT IN ('O', 'A')
ORDER BY expected.name
