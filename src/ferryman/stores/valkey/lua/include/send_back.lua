-- include: moves

-- How a job goes back when its worker gives it up or died.
--   kill      true: the process died with its jobs; each is charged unless it is among `spare`
--   failure   what a job that was charged too often records as its error
--   detail    the same in words
-- Returns the state that the job has now.
local function send_back(job, now, how)
  local s = job.s
  local stop, charged = release(job), how.kill and not how.spare[job.id]
  s.out_state, s.out_reason = STATE.none, 0
  if charged then
    s.kills = s.kills + 1
  end
  if stop then
    stop_job(job, now)
  elseif charged and s.kills >= how.max_kills then
    s.failure = how.failure
    end_job(job, now, STATE.failed, REASON.worker_lost, how.detail, -1)
  else
    queue_job(job, now, how.kill and REASON.lease_lost or REASON.handed_back, '', true)
  end
  return s.state
end

-- Jobs that run under `worker`, the last places first, without those that stay: the `kept` last
-- ones were looked at before, and stay too. Returns the jobs, and how many more stay.
local function held(worker, keep, kept, limit)
  local jobs, stay = {}, 0
  for _, id in ipairs(redis.call('ZREVRANGE', RUN_ .. worker, kept, kept + limit - 1)) do
    local job = load_live(id)
    if keep[id] then
      stay = stay + 1
    elseif job then
      jobs[#jobs + 1] = job
    else
      redis.call('ZREM', RUN_ .. worker, id)
    end
  end
  return jobs, stay
end

-- Send back jobs, the last places first, and return id and state of each.
local function send_back_all(jobs, now, how)
  local moved = {}
  table.sort(jobs, function(a, b) return a.s.place > b.s.place end)
  for _, job in ipairs(jobs) do
    moved[#moved + 1] = job.id
    moved[#moved + 1] = send_back(job, now, how)
  end
  flush()
  if #jobs > 0 then
    wake()
  end
  return moved
end
