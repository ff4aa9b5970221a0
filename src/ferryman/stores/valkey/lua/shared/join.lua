#!lua flags=allow-oom
-- Let a worker's lease be renewed in one more queue from now on, where a claim then brings it.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 now, or ''   2 worker   3 queue, or '' to ask only whether the lease holds
-- Returns the end of the lease (ms), or 0 if there is none to bring
-- include: clock

local now = clock(ARGV[1])
local lease = tonumber(redis.call('ZSCORE', LEASES, ARGV[2]) or 0)
if lease <= now then
  return 0
end
if ARGV[3] ~= '' then
  redis.call('SADD', JOINED_ .. ARGV[2], ARGV[3])
end
return lease
