-- include: moves

-- Entries that one claim looks at above those it takes: one call stays short, however much a queue
-- has to be cleared of.
local SPARE, CHUNK = 1000, 500

-- The worker's lease on this queue: nil where it holds, or the code that refuses the claim.
-- `join_until` brings a lease that the worker has elsewhere to a queue that it never claimed from.
local function refused(now, worker, join_until)
  local known = redis.call('HGET', META, 'known')
  if not known then
    return CODE.unknown_queue
  end
  local lease = tonumber(redis.call('ZSCORE', LEASES, worker) or 0)
  if lease == 0 and join_until > now then
    redis.call('ZADD', LEASES, join_until, worker)
    return nil
  end
  if lease > now then
    return nil
  end
  return lease == 0 and CODE.no_lease or CODE.lease_lost
end

local function start_job(job, now, worker)
  local s = job.s
  s.worker, s.started, s.stop, s.out_state, s.out_reason = worker, now, 0, STATE.none, 0
  s.token, s.deliveries = s.token + 1, s.deliveries + 1
  change(job, now, STATE.running, REASON.claimed, '')
  if job.expires > 0 then
    defer('ZREM', EXPIRY, job.id)
  end
end

-- The jobs behind some entries of a ready list that may start. What is cancelled, or retried and
-- so further back, is dropped; what came too late is put aside, and failed by `expire`.
local function startable(entries, now)
  local ids, jobs = {}, {}
  for index, entry in ipairs(entries) do
    ids[index] = id_of(entry)
  end
  local found = load_all(ids)
  for index, id in ipairs(ids) do
    local job = found[id]
    if job and is_current(job, entries[index]) then
      if job.expires == 0 or job.expires > now then
        jobs[#jobs + 1] = job
      else
        defer('ZADD', LATE, job.expires, id)
      end
    end
  end
  return jobs
end

-- The next `count` entries in the order of priority; fewer where the highest has no more.
local function pop_entries(count)
  local priority = redis.call('ZREVRANGE', PRIOS, 0, 0)[1]
  if not priority then
    return nil
  end
  local entries = redis.call('LPOP', READY_ .. priority, count) or {}
  if #entries < count then
    redis.call('ZREM', PRIOS, priority)
  end
  return entries
end

local function take(now, worker, limit)
  local taken, looked = {}, 0
  while #taken < limit and looked < limit + SPARE do
    local entries = pop_entries(math.min(limit - #taken, CHUNK))
    if not entries then
      return taken, false
    end
    looked = looked + #entries
    for _, job in ipairs(#entries > 0 and startable(entries, now) or {}) do
      start_job(job, now, worker)
      taken[#taken + 1] = job
    end
  end
  return taken, redis.call('EXISTS', PRIOS) == 1
end

-- Write what was taken to the worker's name, each with its place.
local function record_taken(worker, taken)
  local place = redis.call('HINCRBY', META, 'claimed', #taken) - #taken
  for index, job in ipairs(taken) do
    if job.s.place == 0 then
      job.s.place = place + index
    end
    save_live(job)
    defer('ZADD', RUN_ .. worker, job.s.place, job.id)
  end
  redis.call('SADD', HOLDERS, worker)
end

-- One reply for the claim: code, whether entries are left, and eight values for each job.
local function claim(now, worker, limit, join_until)
  local code = refused(now, worker, join_until)
  if code then
    return { code, 0 }
  end
  if limit < 1 or redis.call('HGET', META, 'paused') then
    return { CODE.applied, 0 }
  end
  local taken, more = take(now, worker, limit)
  if #taken > 0 then
    record_taken(worker, taken)
  end
  flush()
  -- One token wakes one worker, so whoever leaves work behind wakes the next.
  if more then
    wake()
  else
    redis.call('DEL', WAKE)
  end
  local reply = { CODE.applied, more and 1 or 0 }
  for _, job in ipairs(taken) do
    local s, at = job.s, #reply
    reply[at + 1], reply[at + 2], reply[at + 3] = job.id, s.token, s.deliveries
    reply[at + 4], reply[at + 5], reply[at + 6] = s.attempts, s.kills, s.checkpoint
    reply[at + 7], reply[at + 8] = job.blob, now - s.queued
  end
  return reply
end
