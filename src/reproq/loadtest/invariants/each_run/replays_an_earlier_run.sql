-- A replay names an earlier run, of the same spec if that run is still kept.
SELECT run.id, concat('replays run ', run.replay_of, CASE WHEN original.id < run.id THEN ', which has another hash' END)
FROM task_runs AS run
LEFT JOIN task_runs AS original ON original.id = run.replay_of
WHERE
    run.id = ANY(%(ids)s::bigint[])
    AND (run.replay_of >= run.id OR original.spec_hash <> run.spec_hash)
