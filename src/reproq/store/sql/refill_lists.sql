-- Lists of moments are written: what was listed up to kept_until stays, since it may be firing, the rest is replaced by what nobody has decided ahead of its time.
UPDATE periodic_tasks
SET
    upcoming = ARRAY(
        SELECT listed.moment
        FROM unnest(periodic_tasks.upcoming) AS listed (moment)
        WHERE listed.moment <= (%(kept_until)s::timestamptz[])[array_position(%(ids)s::bigint[], periodic_tasks.id)]
        ORDER BY listed.moment
    ) || ARRAY(
        SELECT found.moment
        FROM
            unnest((%(moments)s::text[])[array_position(%(ids)s::bigint[], periodic_tasks.id)]::timestamptz[])
            AS found (moment)
        WHERE
            found.moment <> ALL(ARRAY(
                SELECT ahead.due_at
                FROM reproq_ticks AS ahead
                WHERE
                    ahead.periodic_task_id = periodic_tasks.id
                    AND ahead.due_at > coalesce(%(now)s::timestamptz, now())
            ))
        ORDER BY found.moment
    ),
    computed_until = (%(computed_until)s::timestamptz[])[array_position(%(ids)s::bigint[], id)],
    refill_at = (%(refill_at)s::timestamptz[])[array_position(%(ids)s::bigint[], id)],
    fault = ''
WHERE id = ANY(%(ids)s::bigint[])
