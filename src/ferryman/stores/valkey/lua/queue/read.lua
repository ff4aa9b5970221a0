#!lua flags=no-writes
-- The records of some ids.
--
-- KEYS  prefix of the queue
-- ARGV  ids
-- Returns for each: specification, state, record of an ended job ('': none of it)
-- include: records

local reply = {}
for _, id in ipairs(ARGV) do
  append_record(reply, id)
end
return reply
