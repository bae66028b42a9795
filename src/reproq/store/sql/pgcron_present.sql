-- Whether this role can ask pg_cron for its jobs in this database.
SELECT
    EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')
    AND coalesce((SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = 'cron'), false)
