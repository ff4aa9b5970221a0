#!lua flags=allow-oom
-- Make a queue's name known. Pausing does that too, which must work at the memory limit.
--
-- KEYS  prefix of the shared keys
-- ARGV  name
-- Returns 1 if it is new

return redis.call('SADD', QUEUES, ARGV[1])
