-- The database is encoded as UTF-8.
SELECT current_database()::text, concat('the encoding is ', getdatabaseencoding())
WHERE getdatabaseencoding() <> 'UTF8'
