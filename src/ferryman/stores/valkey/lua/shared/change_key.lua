#!lua flags=allow-oom
-- Keep an API key, if what is there of its id is what the caller knows.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 id   2 the key   3 what is there now ('': nothing)
-- Returns 1 if it is kept now

if (redis.call('HGET', APIKEYS, ARGV[1]) or '') ~= ARGV[3] then
  return 0
end
redis.call('HSET', APIKEYS, ARGV[1], ARGV[2])
return 1
