-- The oldest ticks that were decided more than so many days ago are forgotten, a bounded number at a time.
WITH forgotten AS (
    DELETE FROM reproq_ticks
    WHERE
        id = ANY(ARRAY(SELECT id FROM reproq_ticks ORDER BY id LIMIT %(limit)s::int))
        AND decided_at < coalesce(%(now)s::timestamptz, now()) - %(days)s::int * interval '1 day'
    RETURNING id
)
SELECT count(*) FROM forgotten
