-- The server keeps what it has committed: fsync and full_page_writes are on, synchronous_commit is not off.
SELECT server.name, concat(server.name, ' is ', server.setting)
FROM pg_settings AS server
WHERE
    (server.name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND server.setting = 'off')
    OR (server.name IN ('zero_damaged_pages', 'ignore_checksum_failure') AND server.setting = 'on')
ORDER BY server.name
