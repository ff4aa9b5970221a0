-- Where a job goes next, with all that belongs to it.
-- include: jobs
-- include: journal
-- include: ready
-- include: reports

-- The record of an ended job outlives its time to live by this: `prune` comes first as a rule and
-- takes the entries of the indexes along; the server's own expiry is the net below it (ms).
local NET = 60000

-- Queue a job: at the back, or `again` at the place that it had.
local function queue_job(job, now, reason, detail, again)
  local s = job.s
  change(job, now, STATE.queued, reason, detail)
  s.worker = ''
  s.generation = (s.generation + 1) % 65536
  s.queued = now
  if not again then
    s.place = 0
  end
  save_live(job)
  watch_expiry(job)
  if again then
    push_again(job)
  else
    push_ready(job.priority, { entry_of(job.id, s.generation) })
  end
end

local function schedule_job(job, now, due, reason, detail)
  change(job, now, STATE.scheduled, reason, detail)
  job.s.worker = ''
  job.s.due = due
  save_live(job)
  watch_expiry(job)
  defer('ZADD', DUE, due, job.id)
end

-- End a job; `ttl` is in milliseconds, and below 0 it is kept until it is pruned by count or age.
local function end_job(job, now, state, reason, detail, ttl)
  change(job, now, state, reason, detail)
  job.s.finished = now
  if job.unique ~= '' then
    defer('HDEL', UNIQUE, job.unique)
  end
  defer('HDEL', JOBS, job.id)
  defer('HDEL', STATE, job.id)
  local record = struct.pack('>I4', #job.blob) .. job.blob .. write_state(job.s)
  defer('ZADD', ENDED_ .. state, now, job.id)
  if ttl < 0 then
    redis.call('SET', END_ .. job.id, record)
  else
    redis.call('SET', END_ .. job.id, record, 'PX', ttl + NET)
    defer('ZADD', TTL, now + ttl, job.id)
    if has_log(job.s) then
      redis.call('PEXPIRE', LOG_ .. job.id, ttl + NET)
    end
  end
  redis.call('PUBLISH', DONE_ .. job.id, state)
end

-- Take a job that does not run out of the place where it waits.
local function withdraw(job)
  if job.s.state == STATE.scheduled then
    defer('ZREM', DUE, job.id)
  elseif job.s.state == STATE.waiting then
    defer('ZREM', HELD, job.id)
  end
  if job.expires > 0 then
    defer('ZREM', EXPIRY, job.id)
    defer('ZREM', LATE, job.id)
  end
end

-- Take a running job from its worker; says whether someone had asked it to stop.
local function release(job)
  local s = job.s
  defer('ZREM', RUN_ .. s.worker, job.id)
  local stop = s.stop == 1
  if stop then
    defer('HDEL', STOP_ .. s.worker, job.id)
    s.stop = 0
  end
  return stop
end

-- A running job that someone asked to stop is cancelled where it would run again.
local function stop_job(job, now)
  end_job(job, now, STATE.cancelled, REASON.cancelled_by, job.s.detail, -1)
end

-- A worker holds the queue as long as it runs anything: the reaper looks at holders.
local function forget_idle(worker)
  if redis.call('EXISTS', RUN_ .. worker) == 0 then
    redis.call('SREM', HOLDERS, worker)
  end
end
