-- Delete the record of an ended job with its places in the indexes, or all that belongs to it;
-- says whether there was a record of it.
-- include: writes
local ENDED_STATES = { STATE.succeeded, STATE.failed, STATE.cancelled }

local function forget_record(id)
  for _, state in ipairs(ENDED_STATES) do
    defer('ZREM', ENDED_ .. state, id)
  end
  defer('ZREM', TTL, id)
  return redis.call('DEL', END_ .. id) == 1
end

local function forget(id)
  redis.call('DEL', LOG_ .. id)
  return forget_record(id)
end
