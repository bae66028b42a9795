-- Nothing is left of earlier histories, nothing else is touched, and ids begin at one again.
WITH
    logs AS (
        DELETE FROM reproq_logs USING task_runs AS run
        WHERE run.id = reproq_logs.run_id AND run.backend = 'simulation'
    ),
    runs AS (DELETE FROM task_runs WHERE backend = 'simulation'),
    workers AS (DELETE FROM reproq_workers WHERE starts_with(hostname, 'simulated-'))
SELECT setval(pg_get_serial_sequence('task_runs', 'id'), 1, false)
