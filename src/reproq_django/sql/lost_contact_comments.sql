-- What the column that says `on_lost_contact` is for; comments.sql and periodic_comments.sql say it of the rest.

COMMENT ON COLUMN task_runs.on_lost_contact IS 'What its child does while the worker has lost the database: `stop` before the lease ends, so that no two attempts overlap; NULL is `continue`, for nothing a row.';
COMMENT ON COLUMN periodic_tasks.on_lost_contact IS 'What its runs do while their worker has lost the database: `continue`, or `stop`.';
COMMENT ON CONSTRAINT task_runs_on_lost_contact_known ON task_runs IS 'Only the two answers.';
COMMENT ON CONSTRAINT periodic_tasks_on_lost_contact_known ON periodic_tasks IS 'Only the two answers.';
