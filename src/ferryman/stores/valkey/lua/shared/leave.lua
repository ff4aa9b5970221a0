#!lua flags=allow-oom
-- Forget a worker.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 worker
-- Returns the queues that know its lease

local queues = redis.call('SMEMBERS', JOINED_ .. ARGV[1])
redis.call('DEL', JOINED_ .. ARGV[1])
redis.call('HDEL', WORKERS, ARGV[1])
redis.call('ZREM', LEASES, ARGV[1])
return queues
