-- What stored attempts printed lies beside them; where a crash of the server made two attempts of one number, the later wins.
INSERT INTO reproq_logs (run_id, attempt, head, tail, bytes_total)
SELECT log.run_id, log.attempt, log.head, log.tail, log.bytes_total
FROM unnest(
    %(run_ids)s::bigint[], %(attempts)s::int[], %(heads)s::text[], %(tails)s::text[], %(bytes_totals)s::bigint[]
) AS log (run_id, attempt, head, tail, bytes_total)
ON CONFLICT (run_id, attempt) DO UPDATE
SET head = excluded.head, tail = excluded.tail, bytes_total = excluded.bytes_total
