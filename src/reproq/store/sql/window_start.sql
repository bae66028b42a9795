-- The lowest id of the newest `size` runs below an id; no row where there are fewer than that.
SELECT id FROM task_runs WHERE id < %(before_id)s::bigint ORDER BY id DESC OFFSET %(size)s::int - 1 LIMIT 1
