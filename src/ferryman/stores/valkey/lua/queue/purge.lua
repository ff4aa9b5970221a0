#!lua flags=allow-oom
-- Cancel jobs that neither run nor have ended, up to a limit.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit   3 detail
-- Returns how many were cancelled, and 1 if there may be more
-- include: clock
-- include: moves

local now, limit, detail = clock(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local cancelled, looked = 0, 0

local function cancel(id)
  looked = looked + 1
  local job = load_live(id)
  if job and job.s.state ~= STATE.running then
    withdraw(job)
    end_job(job, now, STATE.cancelled, REASON.cancelled_by, detail, -1)
    cancelled = cancelled + 1
  end
end

-- An entry is dropped whether it is current or was left behind.
local function cancel_ready(priority)
  local entries = redis.call('LPOP', READY_ .. priority, limit - looked)
  if not entries then
    redis.call('ZREM', PRIOS, priority)
  end
  for _, entry in ipairs(entries or {}) do
    cancel(id_of(entry))
  end
end

while looked < limit do
  local priority = redis.call('ZRANGE', PRIOS, 0, 0)[1]
  if not priority then
    break
  end
  cancel_ready(priority)
end
-- Those that came too late for a claim, and so stand in no list, are found by their expiry.
for _, index in ipairs({ DUE, HELD, EXPIRY }) do
  flush()
  if looked < limit then
    for _, id in ipairs(redis.call('ZRANGE', index, 0, limit - looked - 1)) do
      cancel(id)
    end
  end
end
flush()
return { cancelled, looked >= limit and 1 or 0 }
