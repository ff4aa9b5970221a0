#!lua flags=allow-oom
-- Send back the jobs of workers whose lease is over. A worker that has jobs running and no lease
-- at all is one of them: nothing that is missing can hide a job.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 limit   3 kills that fail a job   4 failure   5 detail
-- Returns id and state of each job
-- include: clock
-- include: send_back

local now, limit = clock(ARGV[1]), tonumber(ARGV[2])
local how = {
  reason = REASON.lease_lost, kill = true, max_kills = tonumber(ARGV[3]), failure = ARGV[4],
  detail = ARGV[5], spare = {}, keep = {},
}
local reply = {}
for _, worker in ipairs(redis.call('SMEMBERS', HOLDERS)) do
  local room = limit - #reply / 2
  local lease = tonumber(redis.call('ZSCORE', LEASES, worker) or 0)
  if lease <= now and room > 0 then
    send_back_all(worker, now, how, 0, room, reply)
  end
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now, 'LIMIT', 0, 1000)) do
  if redis.call('EXISTS', RUN_ .. worker) == 0 then
    redis.call('ZREM', LEASES, worker)
    redis.call('DEL', STOP_ .. worker)
  end
end
return reply
