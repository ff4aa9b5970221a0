#!lua flags=no-writes
-- The workers that are known.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 now, or ''
-- Returns now, then for each: worker, description, end of its lease, the queues that know it
-- include: clock

local reply = { clock(ARGV[1]) }
for _, worker in ipairs(redis.call('HKEYS', WORKERS)) do
  local queues = redis.call('SMEMBERS', JOINED_ .. worker)
  reply[#reply + 1] = {
    worker, redis.call('HGET', WORKERS, worker), redis.call('ZSCORE', LEASES, worker) or '0',
    unpack(queues),
  }
end
return reply
