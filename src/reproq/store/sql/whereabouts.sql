-- Which database of which cluster answers, in words, to every role from which nobody has taken the right to ask.
SELECT 'database ' || current_database() || ' of the cluster ' || system_identifier FROM pg_control_system()
