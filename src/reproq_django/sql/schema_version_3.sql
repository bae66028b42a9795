-- A worker of this version asks for a column that version 2 of the tables does not have.
UPDATE reproq_meta SET schema_version = 3;
