#!lua flags=allow-oom
-- `finish`, then `claim`: what a busy worker does in one round trip.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 worker   3 limit   then for each ending as for `finish`
-- Returns the codes of the endings, the reply of the claim
-- Codes those of both
-- include: clock
-- include: finish
-- include: claim

local now = clock(ARGV[1])
local codes = finish(now, 4)
return { codes, claim(now, ARGV[2], tonumber(ARGV[3]), 0) }
