#!lua flags=allow-oom
-- Say that the lane holds every queued job, unless it lost its keys since `token` began to fill it.
--
-- KEYS  prefix of the shared keys
-- ARGV  1 token   2 epoch   3 '': it is filled; otherwise go on, for so many milliseconds more
-- Returns 1, or 0 where somebody else fills it by now

if redis.call('GET', FILLING) ~= ARGV[1] then
  return 0
end
if ARGV[3] ~= '' then
  redis.call('PEXPIRE', FILLING, ARGV[3])
else
  redis.call('SET', EPOCH, ARGV[2])
  redis.call('DEL', FILLING)
end
return 1
