#!lua flags=allow-oom
-- What happened to the jobs of a queue since a position, and keep on writing it down.
--
-- KEYS  prefix of the queue
-- ARGV  1 position ('': from now on)   2 period of listening in which it was given ('': the queue
--       was not known then)   3 limit   4 how long events are written down from now on (ms)
-- Returns code, period, position to go on from, 1 if there is more behind it (else 0), then for each
--         event: id, description, event
-- Codes applied; stale: what happened since the position is not there any more
-- include: telling

local after, period, limit, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local listening = redis.call('GET', HEARD)
local begun = not listening
if begun then
  local time = redis.call('TIME')
  listening = string.format('%d', time[1] * 1000000 + time[2])
  redis.call('SET', HEARD, listening, 'PX', keep)
else
  redis.call('PEXPIRE', HEARD, keep)
end

local function parts(position)
  local high, low = string.match(position, '^(%d+)-(%d+)$')
  return tonumber(high), tonumber(low)
end

local function is_before(one, other)
  local one_high, one_low = parts(one)
  local other_high, other_low = parts(other)
  return one_high < other_high or one_high == other_high and one_low < other_low
end

-- Whether the stream was cut behind a position.
local function is_cut()
  local first = redis.call('XRANGE', FEED, '-', '+', 'COUNT', 1)[1]
  if not first or not is_before(after, first[1]) then
    return false
  end
  local info, about = redis.call('XINFO', 'STREAM', FEED), {}
  for at = 1, #info, 2 do
    about[info[at]] = info[at + 1]
  end
  return about['entries-added'] > about['length']
end

local latest = redis.call('XREVRANGE', FEED, '+', '-', 'COUNT', 1)[1]
local position = latest and latest[1] or '0-0'
if after == '' then
  return { CODE.applied, listening, position, 0 }
end
-- Its first job is on its way: nothing has happened yet that could have been missed.
local is_new = period == '' and redis.call('EXISTS', META) == 0
if begun and not is_new or period ~= '' and period ~= listening or is_cut() then
  return { CODE.stale, listening, position, 0 }
end
local reply = { CODE.applied, listening, after, 0 }
for _, entry in ipairs(redis.call('XRANGE', FEED, '(' .. after, '+', 'COUNT', limit)) do
  local values, at = entry[2], #reply
  reply[3] = entry[1]
  reply[at + 1], reply[at + 2], reply[at + 3] = values[2], values[4], values[6]
end
if latest and is_before(reply[3], position) then
  reply[4] = 1
end
return reply
