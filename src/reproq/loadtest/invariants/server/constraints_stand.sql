-- Every constraint that the migrations make is there, and was checked against every row.
SELECT
    expected.name,
    CASE WHEN found.conname IS NULL THEN 'the constraint is missing' ELSE 'the constraint is not validated' END
FROM (
    VALUES
        ('task_runs', 'task_runs_pkey'),
        ('task_runs', 'task_runs_status_known'),
        ('task_runs', 'task_runs_priority_bounded'),
        ('task_runs', 'task_runs_spec_hash_whole'),
        ('task_runs', 'task_runs_claim_only_while_running'),
        ('task_runs', 'task_runs_attempts_are_worker_ids'),
        ('task_runs', 'task_runs_counters_bounded'),
        ('task_runs', 'task_runs_finished_has_its_time'),
        ('task_runs', 'task_runs_value_only_on_success'),
        ('task_runs', 'task_runs_timeout_bounded'),
        ('task_runs', 'task_runs_on_lost_contact_known'),
        ('task_runs', 'task_runs_times_readable'),
        ('task_runs', 'task_runs_expires_after_enqueue'),
        ('reproq_workers', 'reproq_workers_pkey'),
        ('reproq_logs', 'reproq_logs_pkey'),
        ('reproq_logs', 'reproq_logs_one_an_attempt'),
        ('periodic_tasks', 'periodic_tasks_pkey'),
        ('periodic_tasks', 'periodic_tasks_name_key'),
        ('periodic_tasks', 'periodic_tasks_overlap_known'),
        ('periodic_tasks', 'periodic_tasks_catch_up_known'),
        ('periodic_tasks', 'periodic_tasks_on_lost_contact_known'),
        ('periodic_tasks', 'periodic_tasks_bounded'),
        ('periodic_tasks', 'periodic_tasks_times_readable'),
        ('reproq_ticks', 'reproq_ticks_pkey'),
        ('reproq_ticks', 'reproq_ticks_once'),
        ('reproq_ticks', 'reproq_ticks_run_if_enqueued')
) AS expected (table_name, name)
LEFT JOIN pg_constraint AS found
    ON found.conrelid = to_regclass(expected.table_name) AND found.conname = expected.name
WHERE found.convalidated IS DISTINCT FROM true
ORDER BY expected.name
