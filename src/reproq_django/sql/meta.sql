-- One row that names this installation, drawn once: two databases are the same one when their rows are equal.
-- It is no model, so that a test run that empties every model's table leaves it alone.
CREATE TABLE reproq_meta (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    installation uuid NOT NULL DEFAULT gen_random_uuid(),
    schema_version integer NOT NULL
);
INSERT INTO reproq_meta (schema_version) VALUES (1);
DO $check$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'Reproq needs a UTF-8 database; this one is encoded as %', getdatabaseencoding()
            USING HINT = 'Create it with ENCODING ''UTF8'' TEMPLATE template0, and migrate again.';
    END IF;
END
$check$;
