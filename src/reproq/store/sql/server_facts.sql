-- What the doctor asks of a server: its version, its encoding, its clock, and how many connections are left.
SELECT
    current_setting('server_version_num')::int,
    current_setting('server_version'),
    getdatabaseencoding(),
    extract(epoch FROM clock_timestamp())::float8,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on',
    pg_is_in_recovery()
