-- Rows of task_runs die young and often: vacuum early, so that claims never wade through dead index entries.
ALTER TABLE task_runs SET (
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);
