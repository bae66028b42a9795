-- What follows from the columns of a periodic task is what stands in them: hash, next tick, when to look, since when paused.
SELECT job.name, fault.what
FROM periodic_tasks AS job
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN job.spec_hash <> reproq_spec_hash(job.task_path, job.args, job.kwargs) THEN 'its hash is not that of its call'
        WHEN job.next_run_at IS DISTINCT FROM job.upcoming[1] THEN 'its next run is not the first moment of its list'
        WHEN job.wake_at IS DISTINCT FROM CASE
            WHEN job.fault = '' THEN least(job.upcoming[1], job.refill_at) ELSE job.refill_at END
            THEN 'schedulers look at it at another time than it needs'
        WHEN job.enabled = (job.paused_at IS NOT NULL) THEN 'whether it is on, and since when it is paused, contradict'
    END AS what
) AS fault
WHERE fault.what IS NOT NULL
ORDER BY job.name
