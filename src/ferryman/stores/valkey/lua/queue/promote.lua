#!lua flags=allow-oom
-- Queue the jobs whose time has come.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit
-- Returns how many, and the milliseconds until the next is due (-1: none is scheduled)
-- include: clock
-- include: moves

-- Queue up to `limit` jobs whose time has come, in the order in which it came.
local function promote(now, limit)
  local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    defer('ZREM', DUE, id)
    local job = load_live(id)
    if job then
      queue_job(job, now, REASON.due, '')
    end
  end
  if #ids > 0 then
    flush()
    wake()
  end
  return #ids
end

local now = clock(ARGV[1])
local moved = promote(now, tonumber(ARGV[2]))
local following = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')[2]
return { moved, following and math.max(0, tonumber(following) - now) or -1 }
