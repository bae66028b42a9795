-- Every index that the statements rely on is there, and valid.
SELECT expected.name, CASE WHEN found.indexrelid IS NULL THEN 'the index is missing' ELSE 'the index is not valid' END
FROM (
    VALUES
        ('task_runs', 'task_runs_claim'),
        ('task_runs', 'task_runs_due'),
        ('task_runs', 'task_runs_held'),
        ('task_runs', 'task_runs_finished'),
        ('task_runs', 'task_runs_replay'),
        ('periodic_tasks', 'periodic_tasks_wake'),
        ('periodic_tasks', 'periodic_tasks_queued')
) AS expected (table_name, name)
LEFT JOIN (
    pg_index AS found JOIN pg_class AS class ON class.oid = found.indexrelid
) ON found.indrelid = to_regclass(expected.table_name) AND class.relname = expected.name
WHERE (found.indisvalid AND found.indisready) IS DISTINCT FROM true
ORDER BY expected.name
