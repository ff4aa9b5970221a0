#!lua flags=allow-oom
-- Forget a worker's lease on this queue. If it has jobs all the same, the reaper finds them.
--
-- KEYS  prefix of the queue
-- ARGV  1 worker
-- Returns 1

redis.call('ZREM', LEASES, ARGV[1])
if redis.call('EXISTS', RUN_ .. ARGV[1]) == 0 then
  redis.call('SREM', HOLDERS, ARGV[1])
end
return 1
