#!lua flags=allow-oom
-- Queue the jobs whose time has come.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit
-- Returns how many, and the milliseconds until the next is due (-1: none is scheduled)
-- include: clock
-- include: promote

local now = clock(ARGV[1])
local moved = promote(now, tonumber(ARGV[2]))
local following = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')[2]
return { moved, following and math.max(0, tonumber(following) - now) or -1 }
