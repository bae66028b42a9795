-- One installer of pg_cron's jobs at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('reproq pgcron', 0))
