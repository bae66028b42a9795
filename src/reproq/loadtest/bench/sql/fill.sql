-- So many runs of one status are there, spread over queues whose names begin alike.
INSERT INTO task_runs (
    task_path, args, spec_hash, queue_name, priority, due_at, status, attempts, worker_ids, started_at,
    last_attempted_at, finished_at, return_value
)
SELECT
    'reproq_django.noop.do_nothing',
    json_build_array(0, number, repeat('x', 100)),
    encode(sha256(number::text::bytea), 'hex'),
    %(prefix)s::text || number %% %(queues)s::int,
    %(priority)s::smallint,
    worker.due_at,
    %(status)s::text,
    worker.attempts,
    worker.ids,
    worker.moment,
    worker.moment,
    worker.moment,
    CASE WHEN worker.attempts = 1 THEN '7'::json END
FROM
    generate_series(%(first)s::int, %(last)s::int) AS number,
    (
        SELECT
            now() + CASE WHEN %(status)s::text = 'SCHEDULED' THEN interval '1 year' ELSE interval '0' END AS due_at,
            CASE WHEN %(status)s::text = 'SUCCESSFUL' THEN 1 ELSE 0 END AS attempts,
            CASE WHEN %(status)s::text = 'SUCCESSFUL' THEN '{w-1}'::text[] ELSE '{}'::text[] END AS ids,
            CASE WHEN %(status)s::text = 'SUCCESSFUL' THEN now() END AS moment
    ) AS worker
