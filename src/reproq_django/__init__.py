"""The face: Django's Tasks backend, the tables, the admin, the commands that need a project."""
