#!lua flags=allow-oom
-- Extend a worker's lease where it still holds; what is over is never revived.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 now, or ''   2 worker   3 lease (ms)   4 description
-- Returns a code, then the queues that know the lease
-- Codes applied, lease_lost
-- include: clock

local now = clock(ARGV[1])
if tonumber(redis.call('ZSCORE', LEASES, ARGV[2]) or 0) <= now then
  return { CODE.lease_lost }
end
redis.call('ZADD', LEASES, now + ARGV[3], ARGV[2])
local registered = redis.call('HGET', WORKERS, ARGV[2])
if registered then
  redis.call('HSET', WORKERS, ARGV[2], registered:sub(1, 6) .. ARGV[4])
end
return { CODE.applied, unpack(redis.call('SMEMBERS', JOINED_ .. ARGV[2])) }
