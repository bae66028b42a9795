-- A job is made, or changed where this role has one of the same name, in this database.
SELECT cron.schedule(%(name)s::text, %(schedule)s::text, %(command)s::text)
