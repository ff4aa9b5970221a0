#!lua flags=allow-oom
-- Fail the jobs that were not started in time.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit
-- Returns how many
-- include: clock
-- include: moves

local now, failed = clock(ARGV[1]), 0
local ids = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))
for _, id in ipairs(ids) do
  local job = load_live(id)
  if job then
    withdraw(job)
    end_job(job, now, STATE.failed, REASON.expired, '', -1)
    failed = failed + 1
  else
    redis.call('ZREM', EXPIRY, id)
  end
end
flush()
return failed
