-- What the columns, rules and indexes of schedules are for; comments.sql says it of the rest.

COMMENT ON COLUMN reproq_workers.role IS 'What it is: `worker`, or `beat`, which runs nothing and only fires schedules.';
COMMENT ON COLUMN reproq_workers.beats IS 'Whether it fires schedules.';

COMMENT ON COLUMN periodic_tasks.description IS 'What it is for, in words.';
COMMENT ON COLUMN periodic_tasks.cron_expr IS 'Five fields, six with the seconds first, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.';
COMMENT ON COLUMN periodic_tasks.jitter_seconds IS 'How much later than its expression it may be due; how much it is, is drawn from its name.';
COMMENT ON COLUMN periodic_tasks.start_at IS 'It is not due before.';
COMMENT ON COLUMN periodic_tasks.end_at IS 'It is not due afterwards.';
COMMENT ON COLUMN periodic_tasks.overlap IS 'What becomes of a tick while the run before has not finished: `allow` another, `skip` the tick, or `queue_one` until it has.';
COMMENT ON COLUMN periodic_tasks.catch_up IS 'Which missed ticks are made up for: `none`, the `latest`, or `all` up to the bound.';
COMMENT ON COLUMN periodic_tasks.catch_up_bound IS 'How many missed ticks `all` makes up for at most; older ones are dropped.';
COMMENT ON COLUMN periodic_tasks.backend IS 'The alias in TASKS under which its runs are enqueued.';
COMMENT ON COLUMN periodic_tasks.spec_hash IS 'The hash that its runs will have. A trigger computes it.';
COMMENT ON COLUMN periodic_tasks.max_attempts IS 'How many counted ends it takes a run to fail.';
COMMENT ON COLUMN periodic_tasks.backoff_seconds IS 'The waits of its runs after failure 1, 2, …; NULL takes the default.';
COMMENT ON COLUMN periodic_tasks.timeout_seconds IS 'What one attempt may take; NULL takes the worker''s.';
COMMENT ON COLUMN periodic_tasks.expires_in_seconds IS 'How long after its enqueue a run may still start; NULL: for ever.';
COMMENT ON COLUMN periodic_tasks.declared IS 'What the code last said of it (`@periodic`); NULL where it was made by hand.';
COMMENT ON COLUMN periodic_tasks.upcoming IS 'Its next moments, in order; those in the past wait to be fired. Schedulers compute them, the SQL function fires them.';
COMMENT ON COLUMN periodic_tasks.computed_until IS 'Up to here `upcoming` is whole; NULL before it was ever computed.';
COMMENT ON COLUMN periodic_tasks.refill_at IS 'When `upcoming` is to be computed anew; NULL: it has ended.';
COMMENT ON COLUMN periodic_tasks.wake_at IS 'When a scheduler next has something to do about it: fire, or compute. A trigger keeps it.';
COMMENT ON COLUMN periodic_tasks.queued_due_at IS 'The tick that waits for the run before it to finish (`queue_one`).';
COMMENT ON COLUMN periodic_tasks.next_run_at IS 'Its next tick. A trigger keeps it.';
COMMENT ON COLUMN periodic_tasks.last_run_at IS 'The newest tick that became a run.';
COMMENT ON COLUMN periodic_tasks.last_run_id IS 'That run.';
COMMENT ON COLUMN periodic_tasks.paused_at IS 'Since when it is switched off. A trigger keeps it.';
COMMENT ON COLUMN periodic_tasks.fault IS 'Why it cannot be computed or fired; empty when it can.';
COMMENT ON CONSTRAINT periodic_tasks_overlap_known ON periodic_tasks IS 'Only the three policies.';
COMMENT ON CONSTRAINT periodic_tasks_catch_up_known ON periodic_tasks IS 'Only the three policies.';
COMMENT ON CONSTRAINT periodic_tasks_bounded ON periodic_tasks IS 'What can be kept, and what a run may have.';
COMMENT ON CONSTRAINT periodic_tasks_times_readable ON periodic_tasks IS 'Times that Python can read, the end not before the start.';
COMMENT ON INDEX periodic_tasks_wake IS 'Whom a scheduler has to look at next.';
COMMENT ON INDEX periodic_tasks_queued IS 'Ticks that wait for the run before them.';

COMMENT ON TABLE reproq_ticks IS 'One row a moment at which a periodic task was due and something was decided; kept for 30 days.';
COMMENT ON COLUMN reproq_ticks.id IS 'The key.';
COMMENT ON COLUMN reproq_ticks.periodic_task_id IS 'The periodic task; it may be gone.';
COMMENT ON COLUMN reproq_ticks.due_at IS 'When it was due.';
COMMENT ON COLUMN reproq_ticks.outcome IS '`enqueued` (on time, or after it was queued), `caught_up` (it had been missed), `queued` behind the run before, or `skipped`.';
COMMENT ON COLUMN reproq_ticks.run_id IS 'The run that it became.';
COMMENT ON COLUMN reproq_ticks.decided_at IS 'When that was decided, by the database''s clock; later than due_at by the lag.';
COMMENT ON CONSTRAINT reproq_ticks_pkey ON reproq_ticks IS 'One row an id.';
COMMENT ON CONSTRAINT reproq_ticks_once ON reproq_ticks IS 'A tick is decided once: this is what no number of schedulers can double.';
COMMENT ON CONSTRAINT reproq_wake_workers ON reproq_ticks IS 'A trigger, deferred to the commit: it wakes the workers that wait for the queue of the run.';
COMMENT ON CONSTRAINT reproq_ticks_run_if_enqueued ON reproq_ticks IS 'Enqueued ticks, and no others, have a run.';
