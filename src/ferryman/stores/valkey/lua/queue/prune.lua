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

local function forget_all(ids)
  for _, id in ipairs(ids) do
    forget(id)
  end
  flush()
  pruned = pruned + #ids
end

local function until_moment(index, moment)
  return redis.call('ZRANGEBYSCORE', index, '-inf', moment, 'LIMIT', 0, limit - pruned)
end

local function kept()
  local count = 0
  for _, state in ipairs(ENDED_STATES) do
    count = count + redis.call('ZCARD', ENDED_ .. state)
  end
  return count
end

-- The `count` jobs that ended first, whatever they ended as.
local function oldest(count)
  local ended, ids = {}, {}
  for _, state in ipairs(ENDED_STATES) do
    local found = redis.call('ZRANGE', ENDED_ .. state, 0, count - 1, 'WITHSCORES')
    for at = 1, #found, 2 do
      ended[#ended + 1] = { id = found[at], moment = tonumber(found[at + 1]) }
    end
  end
  table.sort(ended, function(a, b) return a.moment < b.moment end)
  for at = 1, math.min(count, #ended) do
    ids[at] = ended[at].id
  end
  return ids
end

if limit > 0 then
  forget_all(until_moment(TTL, now))
end
if age >= 0 and pruned < limit then
  forget_all(until_moment(ENDED_ .. STATE.failed, now - age))
end
local surplus = history >= 0 and math.min(kept() - history, limit - pruned) or 0
if surplus > 0 then
  forget_all(oldest(surplus))
end
return pruned
