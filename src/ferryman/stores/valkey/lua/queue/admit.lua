#!lua flags=allow-oom
-- Let waiting jobs go on.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   then ids
-- Returns a code for each
-- Codes applied, stale, missing
-- include: clock
-- include: moves

local now = clock(ARGV[1])

local function admit(id)
  local job = load_live(id)
  if not job then
    return redis.call('EXISTS', END_ .. id) == 1 and CODE.stale or CODE.missing
  end
  if job.s.state ~= STATE.waiting then
    return CODE.stale
  end
  redis.call('ZREM', HELD, id)
  queue_job(job, now, REASON.admitted, '')
  wake()
  return CODE.applied
end

local codes = {}
for at = 2, #ARGV do
  codes[at - 1] = admit(ARGV[at])
end
flush()
return codes
