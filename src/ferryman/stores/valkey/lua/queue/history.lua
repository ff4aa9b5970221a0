#!lua flags=no-writes
-- A job's record and its log, as of one moment.
--
-- KEYS  prefix of the queue
-- ARGV  id
-- Returns specification, state, record of an ended job ('': none of it), then the lines
-- include: records

local reply = {}
append_record(reply, ARGV[1])
for _, line in ipairs(redis.call('LRANGE', LOG_ .. ARGV[1], 0, -1)) do
  reply[#reply + 1] = line
end
return reply
