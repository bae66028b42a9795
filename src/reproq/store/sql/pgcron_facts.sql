-- What a server says of pg_cron to the role that asks, from the catalogs alone, since the schema cron may be closed to it.
SELECT
    current_setting('server_version_num')::int / 10000,
    current_database()::text,
    current_user::text,
    pg_has_role(current_user, 'pg_read_all_settings', 'USAGE'),
    (SELECT default_version FROM pg_available_extensions WHERE name = 'pg_cron'),
    (SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'),
    (SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'),
    (SELECT setting FROM pg_settings WHERE name = 'cron.database_name'),
    (SELECT setting FROM pg_settings WHERE name = 'cron.timezone'),
    coalesce((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'cron'), false),
    (
        SELECT quote_ident(nspname)
        FROM pg_namespace
        WHERE
            oid = (SELECT pronamespace FROM pg_proc WHERE pg_proc.oid = to_regprocedure('reproq_fire_due(timestamptz)'))
    )
