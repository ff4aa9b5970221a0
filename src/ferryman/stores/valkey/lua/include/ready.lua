-- The ready lists: one a priority, its entries in the order in which the jobs became queued.
-- A job that leaves `queued` otherwise than by a claim leaves its entry behind; claims drop it.

-- At most one token waits for a worker; who takes it looks into the queue himself.
local function wake()
  if redis.call('EXISTS', WAKE) == 0 then
    redis.call('RPUSH', WAKE, '1')
    redis.call('PEXPIRE', WAKE, 60000)
  end
end

local function entry_of(id, generation)
  return id .. string.char(generation)
end

-- The list of a priority that has no entry need not be among PRIOS; a list that has one must.
local function push_ready(priority, entries, front)
  local length = redis.call(front and 'LPUSH' or 'RPUSH', READY_ .. priority, unpack(entries))
  if length == #entries then
    redis.call('ZADD', PRIOS, priority, priority)
  end
end

-- Queued jobs that could not start in time are found by their expiry, wherever their entries are.
local function watch_expiry(job)
  if job.expires > 0 then
    redis.call('ZADD', EXPIRY, job.expires, job.id)
  end
end
