-- The process that serves this session; whoever pools sessions has told the client another number.
SELECT pg_backend_pid()
