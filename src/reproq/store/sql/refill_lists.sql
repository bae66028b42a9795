-- Lists of moments are written: what was listed up to kept_until stays, since it may be firing, the rest is replaced.
UPDATE periodic_tasks
SET
    upcoming = ARRAY(
        SELECT listed.moment
        FROM unnest(periodic_tasks.upcoming) AS listed (moment)
        WHERE listed.moment <= (%(kept_until)s::timestamptz[])[array_position(%(ids)s::bigint[], periodic_tasks.id)]
        ORDER BY listed.moment
    ) || (%(moments)s::text[])[array_position(%(ids)s::bigint[], id)]::timestamptz[],
    computed_until = (%(computed_until)s::timestamptz[])[array_position(%(ids)s::bigint[], id)],
    refill_at = (%(refill_at)s::timestamptz[])[array_position(%(ids)s::bigint[], id)],
    fault = ''
WHERE id = ANY(%(ids)s::bigint[])
