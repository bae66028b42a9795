-- The database may be simulated on by others from here on; a session that only ends is still seen for a moment.
SELECT pg_advisory_unlock(hashtextextended('reproq simulate', 0))
