-- What a job was submitted with; it changes only when a retry edits its arguments.
-- Layout (`records.py` reads the same): flags, created, priority, length of the description; then,
-- if flag 4 is set, due, expires (0: never) and the unique key; then the description and the
-- arguments, both opaque here. Most jobs need no second part, so they do not pay for it.

-- The first change is `submit`'s business: `initial` says in which state the job began.
local INITIAL = { [0] = STATE.queued, [1] = STATE.scheduled, [2] = STATE.waiting }

local function read_specification(id, blob)
  local flags, created, priority, size, at = struct.unpack('>BI6i2I3', blob)
  local job = {
    id = id, blob = blob, initial = INITIAL[flags % 4], created = created, priority = priority,
    size = size, due = created, expires = 0, unique = '',
  }
  if flags >= 4 then
    job.due, job.expires, job.unique, at = struct.unpack('>I6I6I2c0', blob, at)
  end
  job.body_at = at
  return job
end

local function write_specification(job, body)
  local flags = 0
  if job.initial == STATE.scheduled then
    flags = 1
  elseif job.initial == STATE.waiting then
    flags = 2
  end
  if job.due == job.created and job.expires == 0 and job.unique == '' then
    return struct.pack('>BI6i2I3', flags, job.created, job.priority, job.size) .. body
  end
  return struct.pack('>BI6i2I3I6I6I2c0', flags + 4, job.created, job.priority, job.size,
    job.due, job.expires, #job.unique, job.unique) .. body
end
