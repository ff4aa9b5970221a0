-- Events for those who follow the feed of all jobs (`queue/feed.lua`). A stream gets them, and only
-- while somebody listens: HEARD is there as long as that was lately.
-- Layout of an entry (`journal.py` reads the same): `i` the job's id, `d` its description, `s` the
-- number, kind, moment, source, target, reason, token, worker, and then the detail or the report.
local FEED_LENGTH, FEED_KEPT = 10000, 3600000 -- entries, and milliseconds without a new one
local KIND = { state = 0, progress = 1, log = 2 }
local heard, kept = nil, false

-- Reports that happen between two changes of state are numbered between those.
local BETWEEN = 16777216

local function is_heard()
  if heard == nil then
    heard = redis.call('EXISTS', HEARD) == 1
  end
  return heard
end

local function tell(job, body_at, entry)
  redis.call('XADD', FEED, 'MAXLEN', '~', FEED_LENGTH, '*', 'i', job.id,
    'd', string.sub(job.blob, body_at, body_at + job.size - 1), 's', entry)
  if not kept then
    redis.call('PEXPIRE', FEED, FEED_KEPT)
    kept = true
  end
end

local function event(kind, seq, now, source, target, reason, token, worker, rest)
  return struct.pack('>BI8I6BBBI6Bc0', kind, seq, now, source, target, reason, token, #worker,
    worker) .. rest
end
