-- The ready lists: one a priority, its entries in the order in which the jobs became queued.
-- A job that leaves `queued` otherwise than by a claim leaves its entry behind; claims drop it.
-- include: jobs
-- include: wake

local function id_of(entry)
  return string.sub(entry, 1, -3)
end

local function entry_of(id, generation)
  return id .. struct.pack('>I2', generation)
end

-- Whether an entry is the one that its job waits by, and not one that it left behind.
local function is_current(job, entry)
  return job.s.state == STATE.queued and job.s.generation == struct.unpack('>I2', entry, #entry - 1)
end

-- The list of a priority that has no entry need not be among PRIOS; a list that has one must.
local function push_ready(priority, entries)
  local length = redis.call('RPUSH', READY_ .. priority, unpack(entries))
  if length == #entries then
    redis.call('ZADD', PRIOS, priority, priority)
  end
end

-- Queued jobs that could not start in time are found by their expiry, wherever their entries are.
local function watch_expiry(job)
  if job.expires > 0 then
    defer('ZADD', EXPIRY, job.expires, job.id)
  end
end

-- Put a job that was claimed back to its place, which is before all that was not: behind those
-- that went back before it and were claimed before it. Jobs that go back together do so in the
-- order of their places from the end, so hardly any steps are taken.
local STEPS = 200

local function stands_before(entry, place)
  local job = load_live(id_of(entry))
  return job and is_current(job, entry) and job.s.place > 0 and job.s.place < place
end

local function push_again(job)
  local list, mine = READY_ .. job.priority, entry_of(job.id, job.s.generation)
  flush()
  local at = 0
  local entry = redis.call('LINDEX', list, at)
  while entry and at < STEPS and stands_before(entry, job.s.place) do
    at = at + 1
    entry = redis.call('LINDEX', list, at)
  end
  if entry then
    redis.call('LINSERT', list, 'BEFORE', entry, mine)
  else
    push_ready(job.priority, { mine })
  end
end
