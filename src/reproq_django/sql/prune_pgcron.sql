-- Forget what pg_cron noted of our jobs more than three days ago, and nothing else: their commands end with this mark,
-- also those of jobs that are gone. pg_cron itself forgets nothing.

CREATE OR REPLACE FUNCTION reproq_prune_pgcron(mark text, now timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM cron.job_run_details AS noted
    WHERE
        right(noted.command, length($1)) = $1
        AND coalesce(noted.end_time, noted.start_time) < coalesce($2, statement_timestamp()) - interval '3 days';
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$function$;
