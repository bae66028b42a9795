-- One run is inserted in the caller's transaction; or, where one may be woken for it, in one of its own, before the look who waits.
CALL reproq_insert_run(
    NULL, NULL, %(run_after)s::timestamptz, NULL,
    %(nonce)s::bigint, %(backend)s::text, %(task_path)s::text, %(args)s::json, %(kwargs)s::json, %(spec_hash)s::text,
    %(queue_name)s::text, %(priority)s::smallint, %(delay_seconds)s::float8, %(expires_in_seconds)s::float8,
    %(max_attempts)s::int, %(backoff_seconds)s::float8[], %(timeout_seconds)s::float8,
    %(wake_within_seconds)s::float8, %(now)s::timestamptz, %(on_lost_contact)s::text
)
