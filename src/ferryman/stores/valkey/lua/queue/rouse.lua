#!lua flags=allow-oom
-- Let a worker that waits for jobs wait no more. A token that nobody takes goes away.
--
-- KEYS  prefix of the queue
-- ARGV  1 worker
-- Returns 1

local key = ROUSE_ .. ARGV[1]
redis.call('RPUSH', key, '1')
redis.call('PEXPIRE', key, 10000)
return 1
