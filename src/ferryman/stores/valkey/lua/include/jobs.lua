-- Finding and keeping the record of a job.
-- include: specification
-- include: state

local function with_state(id, blob, state)
  local job = read_specification(id, blob)
  job.s = state and read_state(state) or fresh_state(job)
  return job
end

-- A job that has not ended, or nil.
local function load_live(id)
  local blob = redis.call('HGET', JOBS, id)
  return blob and with_state(id, blob, redis.call('HGET', STATE, id)) or nil
end

local function save_live(job)
  redis.call('HSET', STATE, job.id, write_state(job.s))
end

-- A job that has ended, or nil. Its record is its specification and its state in one.
local function load_ended(id)
  local record = redis.call('GET', END_ .. id)
  if not record then
    return nil
  end
  local blob, at = struct.unpack('>I4c0', record)
  return with_state(id, blob, string.sub(record, at))
end
