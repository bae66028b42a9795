-- The moments that a periodic task has listed are in order, each once, and none is later than the list is whole.
SELECT job.name, fault.what
FROM periodic_tasks AS job
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN job.upcoming <> ARRAY(SELECT DISTINCT one.moment FROM unnest(job.upcoming) AS one (moment) ORDER BY one.moment)
            THEN 'its moments are not in order, or one is there twice'
        WHEN cardinality(job.upcoming) > 0 AND job.computed_until IS NULL THEN 'it has moments that nobody computed'
        WHEN job.upcoming[cardinality(job.upcoming)] > job.computed_until
            THEN concat('it has the moment ', job.upcoming[cardinality(job.upcoming)], ', and is whole until ', job.computed_until)
    END AS what
) AS fault
WHERE fault.what IS NOT NULL
ORDER BY job.name
