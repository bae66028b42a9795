-- These runs are what they were when their rows were read as text.
INSERT INTO task_runs SELECT (image::task_runs).* FROM unnest(%(images)s::text[]) AS image
