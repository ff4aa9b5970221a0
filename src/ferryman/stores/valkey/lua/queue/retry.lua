#!lua
-- Send failed and cancelled jobs back to the queue with all their attempts anew. What expired may
-- start now: whoever retries it wants it. Their progress, log and checkpoint are kept.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 detail: who asks   3 '1': there are new arguments   4 these   then ids
-- Returns a code for each
-- Codes applied, stale, missing, conflict
-- include: clock
-- include: moves
-- include: forget

local now, detail, edited, arguments = clock(ARGV[1]), ARGV[2], ARGV[3] == '1', ARGV[4]

local function renewed(job)
  local description = string.sub(job.blob, job.body_at, job.body_at + job.size - 1)
  local given = edited and arguments or string.sub(job.blob, job.body_at + job.size)
  job.expires = 0
  job.blob = write_specification(job, description .. given)
end

local function reset(s)
  s.attempts, s.kills, s.finished, s.due = 0, 0, 0, now
end

local function retry(id)
  local job = load_ended(id)
  if not job then
    return redis.call('HEXISTS', JOBS, id) == 1 and CODE.stale or CODE.missing
  end
  if job.s.state == STATE.succeeded then
    return CODE.stale
  end
  if job.unique ~= '' and redis.call('HSETNX', UNIQUE, job.unique, id) == 0 then
    return CODE.conflict
  end
  forget_record(id)
  redis.call('PERSIST', LOG_ .. id)
  renewed(job)
  reset(job.s)
  redis.call('HSET', JOBS, id, job.blob)
  queue_job(job, now, REASON.retried, detail)
  wake()
  return CODE.applied
end

local codes = {}
for at = 5, #ARGV do
  codes[at - 4] = retry(ARGV[at])
end
flush()
return codes
