-- A run belongs to one tick at most, and the two were written together, the tick not before its time if it was missed.
SELECT concat('tick ', tick.id), fault.what
FROM (
    SELECT one.*, count(*) OVER (PARTITION BY one.run_id) AS sharing FROM reproq_ticks AS one
) AS tick
LEFT JOIN task_runs AS run ON run.id = tick.run_id
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN tick.run_id IS NOT NULL AND tick.sharing > 1 THEN concat('run ', tick.run_id, ' belongs to another tick, too')
        WHEN run.enqueued_at <> tick.decided_at
            THEN concat('decided at ', tick.decided_at, ', and its run ', run.id, ' enqueued at ', run.enqueued_at)
        WHEN tick.outcome = 'caught_up' AND tick.decided_at < tick.due_at + interval '10 seconds'
            THEN concat('caught up at ', tick.decided_at, ', and due at ', tick.due_at)
    END AS what
) AS fault
WHERE fault.what IS NOT NULL
ORDER BY tick.id
