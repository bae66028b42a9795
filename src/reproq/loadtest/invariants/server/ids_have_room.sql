-- More than 10 percent of the ids of every table are still to be drawn.
SELECT sequence.relname::text, concat('the last id drawn is ', drawn.last_value, ' of ', drawn.max_value)
FROM unnest(%(tables)s::text[]) AS thing (name)
JOIN pg_depend AS owned ON owned.refobjid = to_regclass(thing.name) AND owned.refobjsubid > 0
JOIN pg_class AS sequence ON sequence.oid = owned.objid AND sequence.relkind = 'S'
JOIN pg_namespace AS space ON space.oid = sequence.relnamespace
JOIN pg_sequences AS drawn ON drawn.schemaname = space.nspname AND drawn.sequencename = sequence.relname
WHERE drawn.last_value > drawn.max_value * 0.9
ORDER BY sequence.relname
