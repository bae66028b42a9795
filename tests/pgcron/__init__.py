"""The real extension, on a server of its own (Debian's PostgreSQL 15)."""
