#!lua flags=allow-oom
-- Delete ended jobs.
--
-- KEYS  prefix of the queue
-- ARGV  ids
-- Returns a code for each
-- Codes applied, stale, missing
-- include: forget

local codes = {}
for index, id in ipairs(ARGV) do
  if redis.call('HEXISTS', JOBS, id) == 1 then
    codes[index] = CODE.stale
  else
    codes[index] = forget(id) and CODE.applied or CODE.missing
  end
end
flush()
return codes
