-- include: moves

-- A repeated ending is known by what the delivery of its token was ended with.
local function repeated(s, token, state, reason)
  if s.token == token and s.out_state == state and s.out_reason == reason then
    return CODE.applied
  end
  return CODE.stale
end

-- Handed back jobs, and those whose process died, keep their place; a retry goes to the back.
local function requeue(job, now, reason, detail)
  local again = reason == REASON.handed_back or reason == REASON.lease_lost
  if not again then
    job.s.due = now
  end
  queue_job(job, now, reason, detail, again)
  wake()
end

local function settle(job, now, state, reason, detail, delay, ttl)
  local stop = release(job)
  if state >= STATE.first_terminal then
    if state == STATE.cancelled and detail == '' then
      detail = job.s.detail -- who asked for it
    end
    end_job(job, now, state, reason, detail, ttl)
  elseif stop then
    stop_job(job, now)
  elseif state == STATE.scheduled then
    schedule_job(job, now, now + delay, reason, detail)
  else
    requeue(job, now, reason, detail)
  end
end

local HEAD_SIZE = 28
-- `head`: token, state, reason, delay (ms), charge, kill, time to live + 1 (ms; 0: none).
local function finish_one(now, job, id, head, detail, result, failure)
  local token, state, reason, delay, charge, kill, ttl = struct.unpack('>I8BBI8BBI8', head)
  if not job then
    local ended = load_ended(id)
    return ended and repeated(ended.s, token, state, reason) or CODE.missing
  end
  local s = job.s
  if s.state ~= STATE.running or s.token ~= token then
    return repeated(s, token, state, reason)
  end
  local worker = s.worker
  s.attempts, s.kills = s.attempts + charge, s.kills + kill
  s.out_state, s.out_reason = state, reason
  s.failure = failure ~= '' and failure or s.failure
  s.result = result
  settle(job, now, state, reason, detail, delay, ttl - 1)
  return CODE.applied, worker
end

-- The jobs of the endings, read in few calls. A job that is named twice is one table: its second
-- ending meets what the first made of it.
local function named_jobs(first)
  local ids = {}
  for at = first, #ARGV, 5 do
    assert(#ARGV[at + 1] == HEAD_SIZE and ARGV[at + 4], 'malformed ending') -- before any write
    ids[#ids + 1] = ARGV[at]
  end
  return load_all(ids)
end

-- Endings stand in ARGV from `first` on, five values each; returns a code for each.
local function finish(now, first)
  local codes, workers, jobs = {}, {}, named_jobs(first)
  for at = first, #ARGV, 5 do
    local id = ARGV[at]
    local code, worker =
      finish_one(now, jobs[id], id, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    codes[#codes + 1] = code
    if worker then
      workers[worker] = true
    end
  end
  flush()
  for worker in pairs(workers) do
    forget_idle(worker)
  end
  return codes
end
