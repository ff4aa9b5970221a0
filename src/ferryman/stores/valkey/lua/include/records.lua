-- A job's record as readers get it: specification, state, record of an ended job ('': none).
local function read_record(id)
  local blob = redis.call('HGET', JOBS, id)
  if blob then
    return blob, redis.call('HGET', STATE, id) or '', ''
  end
  return '', '', redis.call('GET', END_ .. id) or ''
end

local function append_record(reply, id)
  local at = #reply
  reply[at + 1], reply[at + 2], reply[at + 3] = read_record(id)
end
