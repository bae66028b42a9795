-- Whether this transaction has written anything, and whether its commit waits for the disk.
SELECT pg_current_xact_id_if_assigned() IS NOT NULL, current_setting('synchronous_commit') <> 'off'
