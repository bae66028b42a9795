-- Errors are a list of objects, each with a known kind, a class, a message, and an attempt that was made.
SELECT run.id, CASE
    WHEN jsonb_typeof(run.errors) <> 'array' THEN concat('errors is of type ', jsonb_typeof(run.errors))
    ELSE concat('error ', bad.place, ' of ', run.attempts, ' attempts: ', left(bad.error::text, 200))
END
FROM task_runs AS run
LEFT JOIN LATERAL (
    SELECT item.place, item.error
    FROM jsonb_array_elements(
        CASE jsonb_typeof(run.errors) WHEN 'array' THEN run.errors ELSE '[]' END
    ) WITH ORDINALITY AS item (error, place)
    WHERE
        jsonb_typeof(item.error) <> 'object'
        OR coalesce(item.error ->> 'kind' <> ALL(%(kinds)s::text[]), true)
        OR coalesce(jsonb_typeof(item.error -> 'exception_class') <> 'string', true)
        OR coalesce(jsonb_typeof(item.error -> 'message') <> 'string', true)
        OR coalesce(jsonb_typeof(item.error -> 'attempt') <> 'number', true)
        OR CASE jsonb_typeof(item.error -> 'attempt')
            WHEN 'number' THEN (item.error ->> 'attempt')::numeric NOT BETWEEN 0 AND run.attempts
                -- the attempt that met such an end may have been taken back
                + (item.error ->> 'kind' IN ('unknown_task', 'cancelled', 'expired'))::int
            ELSE false
        END
    ORDER BY item.place
    LIMIT 1
) AS bad ON true
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND (jsonb_typeof(run.errors) <> 'array' OR bad.place IS NOT NULL)
