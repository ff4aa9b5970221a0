-- Delete an ended job with all that belongs to it.
local ENDED_STATES = { STATE.succeeded, STATE.failed, STATE.cancelled }

local function forget(id)
  local gone = redis.call('DEL', END_ .. id)
  for _, state in ipairs(ENDED_STATES) do
    gone = gone + redis.call('ZREM', ENDED_ .. state, id)
  end
  redis.call('ZREM', TTL, id)
  return gone > 0
end
