-- Every table of ours is written to the log that survives a crash.
SELECT thing.name, 'the table is UNLOGGED or temporary: a crash empties it'
FROM unnest(%(tables)s::text[]) AS thing (name)
JOIN pg_class AS class ON class.oid = to_regclass(thing.name)
WHERE class.relpersistence <> 'p'
ORDER BY thing.name
