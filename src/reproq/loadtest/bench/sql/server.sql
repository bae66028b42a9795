-- Which process of the server answers, and the version that it bears.
SELECT pg_backend_pid(), current_setting('server_version')
