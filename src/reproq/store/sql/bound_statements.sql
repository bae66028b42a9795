-- No later statement of this transaction runs longer than this, or waits half as long for a lock.
SELECT
    set_config('statement_timeout', (%(seconds)s::float8 * 1000)::bigint::text, true),
    set_config('lock_timeout', (%(seconds)s::float8 * 500)::bigint::text, true)
