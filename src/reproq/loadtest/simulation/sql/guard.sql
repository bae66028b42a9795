-- Whether the database holds no run but those of a simulation, and nobody else simulates in it while this session lives.
SELECT
    NOT EXISTS (SELECT FROM task_runs WHERE backend <> 'simulation'),
    pg_try_advisory_lock(hashtextextended('reproq simulate', 0))
