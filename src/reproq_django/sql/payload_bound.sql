-- The bound on arguments, max_payload_bytes of the engine by default: what SQL enqueues, a worker must be able to send.
-- It returns args, so that no plan can leave it out.

CREATE OR REPLACE FUNCTION reproq_within_bounds(args json, kwargs json) RETURNS json
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
    IF octet_length(args::text) + octet_length(kwargs::text) > 1048576 THEN
        RAISE EXCEPTION 'the arguments are % bytes of JSON, over the bound of 1048576',
            octet_length(args::text) + octet_length(kwargs::text)
            USING ERRCODE = 'program_limit_exceeded', HINT = 'Store the data elsewhere and pass a reference.';
    END IF;
    RETURN args;
END
$function$;
