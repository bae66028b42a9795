-- At most `limit` READY runs become RUNNING under one token, the most urgent of all queues first; this commit may be lost.
WITH
-- Hidden from the planner, so that a plan made once costs no more in its eyes than one for these values: no claim is planned.
asked AS MATERIALIZED (
    SELECT %(queues)s::text[] AS queues, %(limit)s::int AS runs
),
-- A glance at each queue shows how deep to look: twice its share of the claim is enough unless one queue is far more urgent.
-- A queue that is alone needs none of this: its first runs that nobody holds are the claim.
served AS MATERIALIZED (
    SELECT
        name,
        CASE WHEN count(*) OVER () > 1 THEN least(asked.runs, 4 + 2 * asked.runs / count(*) OVER ()) ELSE 0 END AS glance
    FROM asked, unnest(asked.queues) AS queue (name)
    GROUP BY name, asked.runs
),
depths AS MATERIALIZED (
    SELECT name, CASE WHEN count(*) < min(glance) THEN count(*) ELSE (SELECT asked.runs FROM asked) END AS depth
    FROM (
        SELECT queue.name, queue.glance
        FROM served AS queue
        CROSS JOIN LATERAL (
            SELECT run.id, run.priority, run.due_at
            FROM task_runs AS run
            WHERE
                run.status = 'READY'
                AND run.queue_name = queue.name
                AND NOT (
                    run.task_path = ANY(%(unknown_paths)s::text[])
                    AND run.due_at > coalesce(%(now)s::timestamptz, now())
                        - %(others_first_seconds)s::float8 * interval '1 second'
                )
            ORDER BY run.priority DESC, run.due_at, run.id
            LIMIT queue.glance
        ) AS head
        ORDER BY head.priority DESC, head.due_at, head.id
        LIMIT (SELECT asked.runs FROM asked)
    ) AS urgent
    GROUP BY name
),
-- The most urgent of all queues, locked or not: looking does not lock, so that a claim locks what it takes and no more.
heads AS MATERIALIZED (
    SELECT head.id
    FROM depths AS queue
    CROSS JOIN LATERAL (
        SELECT run.id, run.priority, run.due_at
        FROM task_runs AS run
        WHERE
            run.status = 'READY'
            AND run.queue_name = queue.name
            AND NOT (
                run.task_path = ANY(%(unknown_paths)s::text[])
                AND run.due_at > coalesce(%(now)s::timestamptz, now())
                    - %(others_first_seconds)s::float8 * interval '1 second'
            )
        ORDER BY run.priority DESC, run.due_at, run.id
        LIMIT queue.depth
    ) AS head
    ORDER BY head.priority DESC, head.due_at, head.id
    LIMIT (SELECT asked.runs FROM asked)
),
-- Those of them that nobody else holds. (|| '' keeps the planner from walking the whole claim index in place of the pkey.)
best AS MATERIALIZED (
    SELECT run.id
    FROM task_runs AS run
    WHERE run.id = ANY(ARRAY(SELECT heads.id FROM heads)) AND run.status || '' = 'READY'
    FOR UPDATE SKIP LOCKED
),
-- How many are still wanted, unless there was nothing left to look at.
wanted AS MATERIALIZED (
    SELECT asked.runs - (SELECT count(*) FROM best) AS runs
    FROM asked
    WHERE (SELECT count(*) FROM heads) = asked.runs OR (SELECT count(*) FROM served) = 1
),
-- As many from behind them, past all that somebody holds.
rest AS MATERIALIZED (
    SELECT head.id
    FROM served AS queue
    CROSS JOIN LATERAL (
        SELECT run.id, run.priority, run.due_at
        FROM task_runs AS run
        WHERE
            run.status = 'READY'
            AND run.queue_name = queue.name
            AND NOT (
                run.task_path = ANY(%(unknown_paths)s::text[])
                AND run.due_at > coalesce(%(now)s::timestamptz, now())
                    - %(others_first_seconds)s::float8 * interval '1 second'
            )
            AND run.id <> ALL(ARRAY(SELECT best.id FROM best))
        ORDER BY run.priority DESC, run.due_at, run.id
        LIMIT (SELECT coalesce(max(wanted.runs), 0) FROM wanted)
        FOR UPDATE SKIP LOCKED
    ) AS head
    ORDER BY head.priority DESC, head.due_at, head.id
    LIMIT (SELECT coalesce(max(wanted.runs), 0) FROM wanted)
)
UPDATE task_runs
SET
    status = 'RUNNING',
    attempts = attempts + 1,
    worker_ids = worker_ids || %(worker_id)s::text,
    claim_token = %(token)s::bigint,
    worker_id = %(worker_id)s::text,
    claimed_at = coalesce(%(now)s::timestamptz, now()),
    lease_expires_at = coalesce(%(now)s::timestamptz, now()) + %(lease_seconds)s::float8 * interval '1 second',
    waiting_reason = NULL
WHERE
    (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL
    AND id = ANY(ARRAY(SELECT best.id FROM best UNION ALL SELECT rest.id FROM rest))
RETURNING
    id, claim_token, attempts, failures, releases, max_attempts, spec_hash, backoff_seconds,
    CASE WHEN errors -> -1 ->> 'kind' = 'unknown_task'
        THEN coalesce(extract(epoch FROM claimed_at - (errors -> -1 ->> 'first_at')::timestamptz)::float8, 0)
        ELSE 0 END,
    nonce, backend, task_path, args::text, kwargs::text, queue_name, priority,
    to_json(run_after)::text, to_json(enqueued_at)::text, to_json(started_at)::text, to_json(last_attempted_at)::text,
    worker_ids, errors::text, timeout_seconds,
    date_part('epoch', claimed_at - due_at),
    coalesce(on_lost_contact = 'stop', false),
    expires_at IS NOT NULL AND started_at IS NULL AND expires_at <= claimed_at,
    (
        SELECT date_part('epoch', run.due_at - coalesce(%(now)s::timestamptz, now()))
        FROM task_runs AS run
        WHERE run.status = 'SCHEDULED'
        ORDER BY run.due_at
        LIMIT 1
    )
