-- Workers that nobody has seen for a day are forgotten: they died without a word, and others took what they held.
DELETE FROM reproq_workers
WHERE last_seen_at < coalesce(%(now)s::timestamptz, now()) - interval '1 day'
