-- Finding and keeping the record of a job.
-- include: specification
-- include: state
-- include: writes

local function with_state(id, blob, state)
  local job = read_specification(id, blob)
  job.s = state and read_state(state) or fresh_state(job)
  return job
end

-- A job that has not ended, or nil.
local function load_live(id)
  touch(id)
  local blob = redis.call('HGET', JOBS, id)
  return blob and with_state(id, blob, redis.call('HGET', STATE, id)) or nil
end

-- The same for many jobs in few calls, from id to job.
local READ_AT_ONCE = 500

local function load_all(ids)
  local jobs = {}
  for first = 1, #ids, READ_AT_ONCE do
    local last = math.min(first + READ_AT_ONCE - 1, #ids)
    local blobs = redis.call('HMGET', JOBS, unpack(ids, first, last))
    local states = redis.call('HMGET', STATE, unpack(ids, first, last))
    for index, blob in ipairs(blobs) do
      local id = ids[first + index - 1]
      jobs[id] = blob and with_state(id, blob, states[index]) or nil
    end
  end
  return jobs
end

local function save_live(job)
  defer('HSET', STATE, job.id, write_state(job.s))
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
