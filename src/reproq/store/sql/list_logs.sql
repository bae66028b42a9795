-- What the attempts of one run printed, oldest first.
SELECT attempt, head, tail, bytes_total
FROM reproq_logs
WHERE run_id = %(run_id)s::bigint
ORDER BY attempt
