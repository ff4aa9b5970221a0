#!lua flags=allow-oom
-- Stop claims from a queue, or let them go on. The queue's name was announced before.
--
-- KEYS  prefix of the queue
-- ARGV  '1': pause
-- Returns 1
-- include: wake

redis.call('HSET', META, 'known', '1')
if ARGV[1] == '1' then
  redis.call('HSET', META, 'paused', '1')
elseif redis.call('HDEL', META, 'paused') == 1 then
  wake()
end
return 1
