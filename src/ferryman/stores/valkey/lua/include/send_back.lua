-- include: moves

-- How a job goes back when its worker gives it up or died.
--   reason    of a job that is queued again
--   kill      true: the process died with its jobs; each is charged unless it is among `spare`
--   failure   what a charged job records as its error
-- Returns the state that the job has now.
local function send_back(job, now, how)
  local s = job.s
  local stop = release(job)
  s.out_state, s.out_reason = STATE.none, 0
  if how.kill and not how.spare[job.id] then
    s.kills, s.failure = s.kills + 1, how.failure
  end
  if stop then
    stop_job(job, now)
  elseif how.kill and s.kills >= how.max_kills and not how.spare[job.id] then
    end_job(job, now, STATE.failed, REASON.worker_lost, how.detail, -1)
  else
    queue_job(job, now, how.reason, how.detail, true)
  end
  return s.state
end

-- Send back up to `limit` jobs that run under `worker`, the latest claim first: each goes in front
-- of the others, so in the end they stand in the order in which they were claimed.
-- The `kept` latest ones were looked at before and stay. Appends id and state to `reply`;
-- returns how many more stay.
local function send_back_all(worker, now, how, kept, limit, reply)
  local stay = 0
  local ids = redis.call('ZREVRANGE', RUN_ .. worker, kept, kept + limit - 1)
  for _, id in ipairs(ids) do
    local job = load_live(id)
    if how.keep[id] then
      stay = stay + 1
    elseif not job then
      redis.call('ZREM', RUN_ .. worker, id)
    else
      reply[#reply + 1] = id
      reply[#reply + 1] = send_back(job, now, how)
    end
  end
  forget_idle(worker)
  if #reply > 0 then
    wake()
  end
  return stay
end
