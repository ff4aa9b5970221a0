#!lua flags=allow-oom
-- Give queued jobs to a worker: claiming and recording are one step.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 worker   3 limit   4 end of the lease that the worker brings along, or 0
-- Returns code, 1 if entries are left, then for each job: id, token, deliveries, attempts, kills,
--       checkpoint, specification, how long it was queued (ms)
-- Codes applied, unknown_queue, no_lease, lease_lost
-- include: clock
-- include: claim

return claim(clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
