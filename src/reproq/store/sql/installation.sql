-- The identity of this installation, drawn once when its tables were made.
SELECT installation::text, schema_version
FROM reproq_meta
