-- No later statement of this transaction waits longer than this for a lock, however long it reads; whose session it is.
SELECT
    pg_backend_pid(),
    set_config('lock_timeout', (%(seconds)s::float8 * 1000)::bigint::text, true)
