-- Failures and releases are counted from 0, and no run has more failures than attempts.
SELECT run.id, concat(run.failures, ' failures and ', run.releases, ' releases in ', run.attempts, ' attempts')
FROM task_runs AS run
WHERE run.id = ANY(%(ids)s::bigint[]) AND (run.failures NOT BETWEEN 0 AND run.attempts OR run.releases < 0)
