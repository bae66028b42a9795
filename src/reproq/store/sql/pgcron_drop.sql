-- A job is taken away by its number.
SELECT cron.unschedule(%(jobid)s::bigint)
