#!lua flags=allow-oom
-- Forget workers whose lease ended long ago: until then an operator sees them as gone.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 now, or ''   2 how long ago (ms)
-- Returns how many
-- include: clock

local until_ = clock(ARGV[1]) - ARGV[2]
local workers = redis.call('ZRANGEBYSCORE', LEASES, '-inf', until_, 'LIMIT', 0, 100)
for _, worker in ipairs(workers) do
  redis.call('DEL', JOINED_ .. worker)
  redis.call('HDEL', WORKERS, worker)
  redis.call('ZREM', LEASES, worker)
end
return #workers
