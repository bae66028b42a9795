-- The stored hash is the hash of the stored task path and arguments.
SELECT run.id, concat('stored ', left(run.spec_hash, 12), '…, computed ', left(spec.hash, 12), '…')
FROM task_runs AS run
CROSS JOIN LATERAL (SELECT reproq_spec_hash(run.task_path, run.args, run.kwargs) AS hash OFFSET 0) AS spec
WHERE run.id = ANY(%(ids)s::bigint[]) AND run.spec_hash IS DISTINCT FROM spec.hash
