#!lua flags=allow-oom
-- Extend a worker's lease where it still holds; what is over is never revived.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 now, or ''   2 worker   3 lease (ms)
-- Returns a code, then the queues that know the lease
-- Codes applied, lease_lost
-- include: clock

local now = clock(ARGV[1])
if tonumber(redis.call('ZSCORE', LEASES, ARGV[2]) or 0) <= now then
  return { CODE.lease_lost }
end
redis.call('ZADD', LEASES, now + ARGV[3], ARGV[2])
return { CODE.applied, unpack(redis.call('SMEMBERS', JOINED_ .. ARGV[2])) }
