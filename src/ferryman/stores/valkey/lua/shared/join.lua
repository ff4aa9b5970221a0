#!lua flags=allow-oom
-- Bring a worker's lease to one more queue. Once only: a queue that knew the lease and knows it no
-- more has seen it end.
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
if ARGV[3] ~= '' and redis.call('SADD', JOINED_ .. ARGV[2], ARGV[3]) == 0 then
  return 0
end
return lease
