#!lua flags=allow-oom
-- Record progress and checkpoints of running jobs, each only under its token.
--
-- KEYS  prefix of the queue
-- ARGV  for each job: id, token, progress, checkpoint ('': as it was)
-- Returns a code for each
-- Codes applied, stale, missing
-- include: jobs

local function record(id, token, progress, checkpoint)
  local job = load_live(id)
  if not job then
    return redis.call('EXISTS', END_ .. id) == 1 and CODE.stale or CODE.missing
  end
  local s = job.s
  if s.state ~= STATE.running or s.token ~= token then
    return CODE.stale
  end
  s.progress = progress ~= '' and progress or s.progress
  s.checkpoint = checkpoint ~= '' and checkpoint or s.checkpoint
  save_live(job)
  return CODE.applied
end

local codes = {}
for at = 1, #ARGV, 4 do
  codes[#codes + 1] = record(ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3])
end
flush()
return codes
