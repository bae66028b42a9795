-- Vacuum keeps up: no transaction id of this database is so old that the server nears its refusal to write.
SELECT database.datname::text, concat(
    'the oldest transaction id is ', age(database.datfrozenxid), ' old, the oldest multixact id ', mxid_age(database.datminmxid)
)
FROM pg_database AS database
WHERE
    database.datname = current_database()
    AND greatest(age(database.datfrozenxid), mxid_age(database.datminmxid)) > %(max_xid_age)s::bigint
