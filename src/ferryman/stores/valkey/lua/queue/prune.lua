#!lua flags=allow-oom
-- Delete ended jobs: past their time to live, dead letters of some age, the oldest of too many.
-- What the server's own expiry took already leaves its entries in the indexes to this.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit   3 age of dead letters (ms; -1: any)   4 jobs that stay (-1: all)
-- Returns how many
-- include: clock
-- include: forget

local now, limit = clock(ARGV[1]), tonumber(ARGV[2])
local age, history = tonumber(ARGV[3]), tonumber(ARGV[4])
local pruned = 0

local function forget_until(index, moment)
  local ids = redis.call('ZRANGEBYSCORE', index, '-inf', moment, 'LIMIT', 0, limit - pruned)
  for _, id in ipairs(ids) do
    forget(id)
  end
  pruned = pruned + #ids
end

local function kept()
  local count = 0
  for _, state in ipairs(ENDED_STATES) do
    count = count + redis.call('ZCARD', ENDED_ .. state)
  end
  return count
end

local function oldest()
  local id, moment = nil, math.huge
  for _, state in ipairs(ENDED_STATES) do
    local first = redis.call('ZRANGE', ENDED_ .. state, 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) < moment then
      id, moment = first[1], tonumber(first[2])
    end
  end
  return id
end

if limit > 0 then
  forget_until(TTL, now)
end
if age >= 0 and pruned < limit then
  forget_until(ENDED_ .. STATE.failed, now - age)
end
if history >= 0 then
  for _ = 1, math.min(kept() - history, limit - pruned) do
    forget(oldest())
    pruned = pruned + 1
  end
end
return pruned
