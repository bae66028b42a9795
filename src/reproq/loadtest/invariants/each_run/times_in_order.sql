-- A run is enqueued, first started, last started and finished in this order, and a lease ends after its claim.
SELECT run.id, concat(
    'enqueued ', run.enqueued_at, ', started ', run.started_at, ', last started ', run.last_attempted_at,
    ', claimed ', run.claimed_at, ', lease until ', run.lease_expires_at, ', finished ', run.finished_at
)
FROM task_runs AS run
CROSS JOIN (SELECT %(slack_seconds)s::float8 * interval '1 second' AS seconds) AS slack
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND (
        run.enqueued_at > run.started_at + slack.seconds
        OR run.started_at > run.last_attempted_at + slack.seconds
        OR run.last_attempted_at > run.finished_at + slack.seconds
        OR run.last_attempted_at > run.claimed_at + slack.seconds
        OR run.enqueued_at > run.finished_at + slack.seconds
        OR run.enqueued_at > run.claimed_at + slack.seconds
        OR run.claimed_at > run.lease_expires_at + slack.seconds
    )
