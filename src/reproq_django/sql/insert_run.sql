-- One run is inserted, READY or SCHEDULED by the database's clock, and those who wait for it are woken: one round trip, and
-- plans that the session keeps, without a prepared statement that a pooler could lose.
-- Without wake_within_seconds it is an INSERT in the caller's transaction, and nobody is asked. With it, the caller has no
-- transaction open: the run is committed here, and only then is asked who waits, so that a worker that falls idle in
-- between has either seen the run or is seen. A failure to wake comes too late to fail the run: has_asked stays false.
-- The last argument may be left out: so does the release before it was there, which enqueues while a deploy rolls on.
-- docs/why/enqueue-in-one-round-trip.md

CREATE OR REPLACE PROCEDURE reproq_insert_run(
    OUT run_id bigint,
    OUT enqueued_at timestamptz,
    INOUT run_after timestamptz,
    OUT has_asked boolean,
    nonce bigint,
    backend text,
    task_path text,
    args json,
    kwargs json,
    spec_hash text,
    queue_name text,
    priority smallint,
    delay_seconds double precision,
    expires_in_seconds double precision,
    max_attempts integer,
    backoff_seconds double precision[],
    timeout_seconds double precision,
    wake_within_seconds double precision,
    now timestamptz
    , on_lost_contact text DEFAULT 'continue'  -- since 0004
)
LANGUAGE plpgsql
AS $procedure$
BEGIN
    has_asked := false;
    enqueued_at := coalesce(now, now());
    run_after := coalesce(run_after, enqueued_at + delay_seconds * interval '1 second');
    INSERT INTO task_runs (
        nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority, run_after, expires_at,
        on_lost_contact,  -- since 0004
        enqueued_at, due_at, status, max_attempts, backoff_seconds, timeout_seconds
    )
    VALUES (
        nonce, backend, task_path, args, kwargs, spec_hash, queue_name, priority, run_after,
        greatest(run_after, enqueued_at) + expires_in_seconds * interval '1 second',
        nullif(on_lost_contact, 'continue'),  -- since 0004
        enqueued_at, coalesce(run_after, enqueued_at),
        CASE WHEN run_after > enqueued_at THEN 'SCHEDULED' ELSE 'READY' END,
        max_attempts, backoff_seconds, timeout_seconds
    )
    RETURNING id INTO run_id;
    IF coalesce(run_after, enqueued_at) - enqueued_at <= wake_within_seconds * interval '1 second' THEN
        COMMIT;
        BEGIN
            -- A worker's whole rule is reproq_wake's; most often nobody waits, which costs less to see from here.
            IF EXISTS (SELECT FROM reproq_workers AS worker WHERE worker.idle_queues && ARRAY[queue_name, '*']) THEN
                PERFORM reproq_wake(queue_name);
            END IF;
            has_asked := true;
        EXCEPTION WHEN OTHERS OR query_canceled THEN
            NULL;
        END;
    END IF;
END
$procedure$;
