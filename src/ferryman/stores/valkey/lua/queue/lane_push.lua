#!lua
-- Put ids of queued jobs into the queue's lane. An id that is there already only gets its place
-- anew, so pushing twice is pushing once.
--
-- KEYS  prefix of the queue
-- ARGV  for each job: priority, position, id
-- Returns 1
-- include: ready

local CHUNK = 2000

local places = {}
for at = 1, #ARGV, 3 do
  local members = places[ARGV[at]] or {}
  places[ARGV[at]] = members
  members[#members + 1] = tonumber(ARGV[at + 1])
  members[#members + 1] = assert(ARGV[at + 2], 'malformed place') -- before any write
end
for priority, members in pairs(places) do
  for first = 1, #members, CHUNK do
    local last = math.min(first + CHUNK - 1, #members)
    redis.call('ZADD', LANE_ .. priority, unpack(members, first, last))
  end
  redis.call('ZADD', LANES, priority, priority)
end
wake()
return 1
