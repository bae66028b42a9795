-- The next id of a run is greater than every id in use.
SELECT highest.id, concat('the last id drawn is ', coalesce(drawn.last_value, 0), '; the next ones are in use')
FROM pg_sequences AS drawn
CROSS JOIN (SELECT max(id) AS id FROM task_runs) AS highest
WHERE
    to_regclass(pg_get_serial_sequence('task_runs', 'id'))
    = to_regclass(format('%%I.%%I', drawn.schemaname, drawn.sequencename))
    AND has_sequence_privilege(to_regclass(pg_get_serial_sequence('task_runs', 'id')), 'SELECT')
    AND coalesce(drawn.last_value, 0) < highest.id
