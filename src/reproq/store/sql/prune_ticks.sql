-- The oldest ticks that were due and decided more than so many days ago are forgotten, a bounded number at a time, but none that waits for a run.
WITH forgotten AS (
    DELETE FROM reproq_ticks
    WHERE
        id = ANY(ARRAY(SELECT id FROM reproq_ticks ORDER BY id LIMIT %(limit)s::int))
        AND outcome <> 'queued'
        AND greatest(due_at, decided_at) < coalesce(%(now)s::timestamptz, now()) - %(days)s::int * interval '1 day'
    RETURNING id
)
SELECT count(*) FROM forgotten
