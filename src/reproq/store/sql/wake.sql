-- Workers that wait for these queues are told to look, each queue once; where nobody waits, nobody is told.
SELECT reproq_wake(name, %(now)s::timestamptz) FROM unnest(%(queue_names)s::text[]) AS name
