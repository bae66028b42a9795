-- No later statement of this transaction waits longer than this for a lock, nor much longer for several; whose session it is.
SELECT
    pg_backend_pid(),
    set_config('lock_timeout', (%(seconds)s::float8 * 1000)::bigint::text, true),
    set_config('statement_timeout', (%(seconds)s::float8 * 1000 + 500)::bigint::text, true)
