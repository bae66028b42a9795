-- A worker of this version asks for columns and functions that version 1 of the tables does not have.
UPDATE reproq_meta SET schema_version = 2;
