#!lua flags=no-writes
-- A queue's figures. Queued is what is neither scheduled, waiting nor running: the ready lists
-- hold entries that were left behind, so their lengths say nothing.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''
-- Returns paused, scheduled, waiting, queued, running, succeeded, failed, cancelled,
--       age of the oldest queued job (ms; -1: none)
-- include: clock
-- include: jobs
-- include: ready

local LOOK = 100
local now = clock(ARGV[1])

local function running()
  local count = 0
  for _, worker in ipairs(redis.call('SMEMBERS', HOLDERS)) do
    count = count + redis.call('ZCARD', RUN_ .. worker)
  end
  return count
end

-- Since when the longest waiting job of a list has been queued. Those that went back come first and
-- may have come back lately; the others follow in the order in which they were queued.
local function queued_since(priority)
  local since = now
  for _, entry in ipairs(redis.call('LRANGE', READY_ .. priority, 0, LOOK - 1)) do
    local job = load_live(id_of(entry))
    if job and is_current(job, entry) then
      since = math.min(since, job.s.queued)
      if job.s.place == 0 then
        return since
      end
    end
  end
  return since
end

local function oldest_age()
  local since = now
  for _, priority in ipairs(redis.call('ZRANGE', PRIOS, 0, -1)) do
    since = math.min(since, queued_since(priority))
  end
  return now - since
end

local scheduled, waiting = redis.call('ZCARD', DUE), redis.call('ZCARD', HELD)
local active = running()
local queued = redis.call('HLEN', JOBS) - scheduled - waiting - active
return {
  redis.call('HEXISTS', META, 'paused'), scheduled, waiting, queued, active,
  redis.call('ZCARD', ENDED_ .. STATE.succeeded), redis.call('ZCARD', ENDED_ .. STATE.failed),
  redis.call('ZCARD', ENDED_ .. STATE.cancelled), queued > 0 and oldest_age() or -1,
}
