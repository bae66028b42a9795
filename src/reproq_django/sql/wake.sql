-- Wake the workers that wait for a queue (for any, without a name): one NOTIFY, and only where one waits. True if so.
-- Whether one waits is asked when this runs, so it belongs after the commit of the INSERT: a worker that falls idle
-- between the two looks by itself, and one that was idle before is told. Polling finds whatever is missed.
-- A row that has not been seen for five minutes is of a worker that died, and is not waited on.

CREATE OR REPLACE FUNCTION reproq_wake(queue_name text DEFAULT NULL, now timestamptz DEFAULT NULL)
RETURNS boolean
LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM reproq_workers AS worker
            WHERE
                cardinality(worker.idle_queues) > 0
                AND ($1 IS NULL OR worker.idle_queues && ARRAY[$1, '*'])
                AND worker.last_seen_at > coalesce($2, statement_timestamp()) - interval '5 minutes'
        ) THEN pg_notify('reproq_wake', coalesce($1, '')) IS NOT NULL
        ELSE false
    END;
END;
