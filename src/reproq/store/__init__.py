"""The door to PostgreSQL: every statement is a file in `sql/`, every function here takes a cursor and never commits."""
