-- The grants that the role lacks to read our tables and to hash their specs, as the statements that would give them.
SELECT DISTINCT lacking.statement
FROM (
    SELECT format('GRANT USAGE ON SCHEMA %%I TO %%I', space.nspname, current_user) AS statement
    FROM pg_namespace AS space
    JOIN pg_class AS class ON class.relnamespace = space.oid AND class.relname = 'task_runs' AND class.relkind IN ('r', 'p')
    WHERE to_regclass('task_runs') IS NULL AND NOT has_schema_privilege(space.oid, 'USAGE')
    UNION ALL
    SELECT format('GRANT SELECT ON %%I TO %%I', thing.name, current_user)
    FROM unnest(%(tables)s::text[]) AS thing (name)
    WHERE NOT has_table_privilege(to_regclass(thing.name), 'SELECT')
    UNION ALL
    SELECT format('GRANT EXECUTE ON FUNCTION %%s TO %%I', routine.oid::regprocedure, current_user)
    FROM pg_proc AS routine
    JOIN pg_class AS class ON class.oid = to_regclass('task_runs') AND class.relnamespace = routine.pronamespace
    WHERE routine.proname IN ('reproq_spec_hash', 'reproq_canonical') AND NOT has_function_privilege(routine.oid, 'EXECUTE')
) AS lacking
ORDER BY lacking.statement
