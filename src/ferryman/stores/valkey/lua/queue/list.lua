#!lua flags=no-writes
-- A stretch of the jobs of one queue in one state, the newest first as far as the index can tell.
-- A position says where the stretch before it ended; it stays good while jobs come and go.
--
-- KEYS  prefix of the queue
-- ARGV  1 state   2 limit: records that are looked at   3, 4 position ('' and '': from the start)
-- Returns the following position (two strings; '' and '': there is no more), how many entries were
--       looked at, then for each job: id, specification, state, record of an ended job ('': none of it)
-- include: jobs
-- include: ready
-- include: records

local looked = 0
local state, limit, place, last = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]

-- Sorted sets: a position is a score and a member, so nothing that comes or goes shifts it.
local function rank_behind(index)
  if last == '' then
    return 0
  end
  local rank = redis.call('ZREVRANK', index, last)
  if rank then
    return rank + 1
  end
  return redis.call('ZCOUNT', index, '(' .. place, '+inf')
end

local function list_index(index)
  local first = rank_behind(index)
  local found = redis.call('ZREVRANGE', index, first, first + limit - 1, 'WITHSCORES')
  local ids, full = {}, #found == limit * 2
  looked = #found / 2
  for at = 1, #found, 2 do
    ids[#ids + 1] = found[at]
  end
  return ids, full and found[#found] or '', full and ids[#ids] or ''
end

-- Running jobs are as many as the fleet has slots; they are listed by their ids.
local function list_running()
  local all, ids = {}, {}
  for _, worker in ipairs(redis.call('SMEMBERS', HOLDERS)) do
    for _, id in ipairs(redis.call('ZRANGE', RUN_ .. worker, 0, -1)) do
      if last == '' or id < last then
        all[#all + 1] = id
      end
    end
  end
  table.sort(all, function(a, b) return a > b end)
  for at = 1, math.min(limit, #all) do
    ids[at] = all[at]
  end
  looked = #ids
  return ids, '', #all > limit and ids[limit] or ''
end

-- Ready lists, the highest priority first, each from its end. Claims take from its beginning, so
-- the last entry of the stretch before may have moved: it is looked for near where it was.
local SHIFT = 1000

local function end_of_stretch(key, at, entry)
  local from = math.max(0, at - SHIFT)
  local near = redis.call('LRANGE', key, from, at + SHIFT)
  for index = #near, 1, -1 do
    if near[index] == entry then
      return from + index - 1
    end
  end
  return math.min(at, redis.call('LLEN', key))
end

local function list_priority(priority, behind, room, ids)
  local first = math.max(0, behind - room)
  local entries = behind > 0 and redis.call('LRANGE', READY_ .. priority, first, behind - 1) or {}
  for at = #entries, 1, -1 do
    local job = load_live(id_of(entries[at]))
    if job and is_current(job, entries[at]) then
      ids[#ids + 1] = job.id
    end
  end
  return #entries, first, entries[1]
end

local function list_ready()
  local ids = {}
  local at_priority, at = string.match(place, '^(-?%d+) (%d+)$')
  for _, priority in ipairs(redis.call('ZREVRANGE', PRIOS, 0, -1)) do
    if not at_priority or tonumber(priority) <= tonumber(at_priority) then
      local key = READY_ .. priority
      local behind = redis.call('LLEN', key)
      if priority == at_priority then
        behind = end_of_stretch(key, tonumber(at), last)
      end
      local count, first, entry = list_priority(priority, behind, limit - looked, ids)
      looked = looked + count
      if looked >= limit then
        return ids, priority .. ' ' .. first, entry
      end
    end
  end
  return ids, '', ''
end

-- Behind the lists come the jobs that claims passed over because they were too late.
local function list_queued()
  local late = string.match(place, '^late ?(.*)$')
  if not late then
    local ids, next_place, next_last = list_ready()
    local more = next_place == '' and redis.call('EXISTS', LATE) == 1
    return ids, more and 'late' or next_place, next_last
  end
  place = late
  local ids, next_place, next_last = list_index(LATE)
  return ids, next_last == '' and '' or 'late ' .. next_place, next_last
end

local function list()
  if state == STATE.queued then
    return list_queued()
  elseif state == STATE.running then
    return list_running()
  elseif state == STATE.scheduled then
    return list_index(DUE)
  elseif state == STATE.waiting then
    return list_index(HELD)
  end
  return list_index(ENDED_ .. state)
end

local ids, next_place, next_last = list()
local reply = { next_place, next_last, looked }
for _, id in ipairs(ids) do
  reply[#reply + 1] = id
  append_record(reply, id)
end
return reply
