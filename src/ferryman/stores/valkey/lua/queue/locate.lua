#!lua flags=no-writes
-- Which of some ids are jobs of this queue.
--
-- KEYS  prefix of the queue
-- ARGV  ids
-- Returns 1 or 0 for each

local found = {}
for index, id in ipairs(ARGV) do
  local here = redis.call('HEXISTS', JOBS, id) == 1 or redis.call('EXISTS', END_ .. id) == 1
  found[index] = here and 1 or 0
end
return found
