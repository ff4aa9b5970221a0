#!lua flags=allow-oom
-- Cancel jobs that do not run, and ask those that do to stop.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 detail: who asks   then ids
-- Returns a code for each
-- Codes applied, requested, stale, missing
-- include: clock
-- include: moves

local now, detail = clock(ARGV[1]), ARGV[2]

local function request(job)
  local s = job.s
  if s.stop == 0 then
    s.stop, s.detail = 1, detail
    save_live(job)
    redis.call('HSET', STOP_ .. s.worker, job.id, s.token)
  end
  return CODE.requested
end

local function cancel(id)
  local job = load_live(id)
  if not job then
    return redis.call('EXISTS', END_ .. id) == 1 and CODE.stale or CODE.missing
  end
  if job.s.state == STATE.running then
    return request(job)
  end
  withdraw(job)
  end_job(job, now, STATE.cancelled, REASON.cancelled_by, detail, -1)
  return CODE.applied
end

local codes = {}
for at = 3, #ARGV do
  codes[at - 2] = cancel(ARGV[at])
end
flush()
return codes
