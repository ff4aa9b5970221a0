#!lua flags=allow-oom
-- Send back the jobs of workers whose lease is over. A worker that has jobs running and no lease
-- at all is one of them: nothing that is missing can hide a job.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit   3 kills that fail a job   4 failure   5 detail
--       6 how long (ms) a lease that ended is remembered, so that it is not taken for a new one
-- Returns id and state of each job
-- include: clock
-- include: send_back

local now, limit = clock(ARGV[1]), tonumber(ARGV[2])
local how = {
  kill = true, max_kills = tonumber(ARGV[3]), failure = ARGV[4], detail = ARGV[5],
  spare = {}, keep = {},
}

local function stalled_workers()
  local stalled = {}
  for _, worker in ipairs(redis.call('SMEMBERS', HOLDERS)) do
    if tonumber(redis.call('ZSCORE', LEASES, worker) or 0) <= now then
      stalled[#stalled + 1] = worker
    end
  end
  return stalled
end

local function stalled_jobs(workers)
  local jobs = {}
  for _, worker in ipairs(workers) do
    local room = limit - #jobs
    if room > 0 then
      for _, job in ipairs(held(worker, how.keep, 0, room)) do
        jobs[#jobs + 1] = job
      end
    end
  end
  return jobs
end

local workers = stalled_workers()
local moved = send_back_all(stalled_jobs(workers), now, how)
for _, worker in ipairs(workers) do
  forget_idle(worker)
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now - ARGV[6], 'LIMIT', 0, 100)) do
  if redis.call('EXISTS', RUN_ .. worker) == 0 then
    redis.call('ZREM', LEASES, worker)
    redis.call('DEL', STOP_ .. worker)
  end
end
return moved
