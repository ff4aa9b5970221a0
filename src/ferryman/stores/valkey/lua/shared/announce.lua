#!lua flags=allow-oom
-- Make a queue's name known. Pausing does that too, which must work at the memory limit.
--
-- KEYS  prefix of the shared keys
-- ARGV  name
-- Returns 1 if somebody follows the feed

redis.call('SADD', QUEUES, ARGV[1])
return redis.call('EXISTS', HEARD)
