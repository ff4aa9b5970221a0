#!lua flags=allow-oom
-- Record progress, checkpoints and log lines of running jobs, each only under its token.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 lines of a log that are kept   3 their bytes   then for each job: id,
--       token, progress, checkpoint ('': as it was), number of lines, the lines
-- Returns a code for each
-- Codes applied, stale, missing
-- include: clock
-- include: jobs
-- include: reports

local now, most_lines, most_bytes = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

-- The event of a report, numbered behind all that happened to the job before.
local function report(job, reports, kind, body)
  local s = job.s
  reports.count = math.min(reports.count + 1, BETWEEN - 1)
  local seq = (s.changes + 1) * BETWEEN + reports.count
  local entry = event(kind, seq, now, STATE.running, STATE.running, REASON.claimed, s.token,
    s.worker, body)
  if is_heard() then
    tell(job, job.body_at, entry)
  end
  return entry, seq
end

local function log(job, reports, first, count)
  local key = LOG_ .. job.id
  for at = first, first + count - 1 do
    local entry = report(job, reports, KIND.log, ARGV[at])
    redis.call('RPUSH', key, entry)
    reports.lines, reports.bytes = reports.lines + 1, reports.bytes + #entry
    while reports.lines > most_lines or reports.bytes > most_bytes do
      local oldest = redis.call('LPOP', key)
      reports.lines, reports.bytes = reports.lines - 1, reports.bytes - #oldest
    end
  end
end

local function record(job, at, lines)
  local s, progress, checkpoint = job.s, ARGV[at + 2], ARGV[at + 3]
  local reports = read_reports(s)
  log(job, reports, at + 5, lines)
  if progress ~= '' then
    local _, seq = report(job, reports, KIND.progress, progress)
    reports.at, reports.seq, reports.progress = now, seq, progress
  end
  if lines > 0 or progress ~= '' then
    write_reports(s, reports)
  end
  s.checkpoint = checkpoint ~= '' and checkpoint or s.checkpoint
  save_live(job)
end

local function try(at, lines)
  local id, token = ARGV[at], tonumber(ARGV[at + 1])
  local job = load_live(id)
  if not job then
    return redis.call('EXISTS', END_ .. id) == 1 and CODE.stale or CODE.missing
  end
  if job.s.state ~= STATE.running or job.s.token ~= token then
    return CODE.stale
  end
  record(job, at, lines)
  return CODE.applied
end

local codes, at = {}, 4
while at <= #ARGV do
  local lines = tonumber(ARGV[at + 4])
  codes[#codes + 1] = try(at, lines)
  at = at + 5 + lines
end
flush()
return codes
