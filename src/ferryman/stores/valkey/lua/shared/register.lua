#!lua flags=allow-oom
-- Give a new worker its lease. Each queue learns of it when the worker first claims from it.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 now, or ''   2 worker   3 lease (ms)   4 description
-- Returns 1
-- include: clock

local now = clock(ARGV[1])
redis.call('HSET', WORKERS, ARGV[2], struct.pack('>I6', now) .. ARGV[4])
redis.call('ZADD', LEASES, now + ARGV[3], ARGV[2])
return 1
