-- A transaction of this session that does nothing for longer than this ends, unless the role has a shorter bound.
SELECT set_config(name, (%(milliseconds)s::bigint)::text, false)
FROM pg_settings
WHERE name = 'idle_in_transaction_session_timeout' AND setting::bigint NOT BETWEEN 1 AND %(milliseconds)s::bigint
