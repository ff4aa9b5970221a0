#!lua flags=allow-oom
-- Take ids out of the queue's lane, in the order of priority and position. What is taken is held
-- for a while: if nobody says by then what became of it, it is put back.
--
-- KEYS  prefix of the queue
-- ARGV  1 limit   2 how long it is held (ms)   then entries of earlier calls that are settled
-- Returns entries: until:priority:position:id, where `until` (ms) is when it is put back
-- include: clock
-- include: ready

local SETTLED, RETURNED = 1000, 200

local function put_back(now)
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', TAKEN, '-inf', now, 'LIMIT', 0, RETURNED)) do
    local priority, position, id = string.match(entry, '^%d+:(%-?%d+):(%d+):(.*)$')
    redis.call('ZADD', LANE_ .. priority, position, id)
    redis.call('ZADD', LANES, priority, priority)
    redis.call('ZREM', TAKEN, entry)
  end
end

local function take(limit, until_)
  local entries, held = {}, {}
  while #entries < limit do
    local priority = redis.call('ZREVRANGE', LANES, 0, 0)[1]
    if not priority then
      break
    end
    local wanted = limit - #entries
    local popped = redis.call('ZPOPMIN', LANE_ .. priority, wanted)
    for at = 1, #popped, 2 do
      -- With its moment each taking is an entry of its own, which nobody else can settle.
      local entry = until_ .. ':' .. priority .. ':' .. popped[at + 1] .. ':' .. popped[at]
      entries[#entries + 1] = entry
      held[#held + 1] = until_
      held[#held + 1] = entry
    end
    if #popped < 2 * wanted then
      redis.call('ZREM', LANES, priority)
    end
  end
  for first = 1, #held, 2 * SETTLED do
    redis.call('ZADD', TAKEN, unpack(held, first, math.min(first + 2 * SETTLED - 1, #held)))
  end
  return entries
end

local now = clock('')
for first = 3, #ARGV, SETTLED do
  redis.call('ZREM', TAKEN, unpack(ARGV, first, math.min(first + SETTLED - 1, #ARGV)))
end
put_back(now)
local limit = tonumber(ARGV[1])
if limit < 1 or redis.call('EXISTS', HALTED) == 1 then
  return {}
end
local entries = take(limit, now + ARGV[2])
-- One token wakes one worker, so whoever leaves work behind wakes the next.
if redis.call('EXISTS', LANES) == 1 then
  wake()
else
  redis.call('DEL', WAKE)
end
return entries
