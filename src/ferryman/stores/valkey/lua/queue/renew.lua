#!lua flags=allow-oom
-- Extend a worker's lease on this queue where it still holds; what is over is never revived.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 worker   3 lease (ms)
-- Returns a code, then id and token of each running job that was asked to stop
-- Codes applied, no_lease (the claim that brings it is under way), lease_lost
-- include: clock

local now = clock(ARGV[1])
local lease = redis.call('ZSCORE', LEASES, ARGV[2])
if not lease then
  return { CODE.no_lease }
elseif tonumber(lease) <= now then
  return { CODE.lease_lost }
end
redis.call('ZADD', LEASES, now + ARGV[3], ARGV[2])
local reply = { CODE.applied }
for _, value in ipairs(redis.call('HGETALL', STOP_ .. ARGV[2])) do
  reply[#reply + 1] = value
end
return reply
