-- The jobs of pg_cron whose names begin with our prefix, as far as this role may see them, each with its last run.
SELECT
    job.jobid, job.jobname::text, job.schedule, job.command, job.database, job.username, job.active,
    last.status, last.return_message,
    extract(epoch FROM coalesce(%(now)s::timestamptz, now()) - last.start_time)::float8
FROM cron.job AS job
LEFT JOIN LATERAL (
    SELECT noted.status, noted.return_message, noted.start_time
    FROM cron.job_run_details AS noted
    WHERE noted.jobid = job.jobid AND noted.end_time IS NOT NULL
    ORDER BY noted.runid DESC
    LIMIT 1
) AS last ON true
WHERE starts_with(job.jobname::text, %(prefix)s::text)
ORDER BY job.jobid
