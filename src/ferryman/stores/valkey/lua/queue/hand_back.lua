#!lua flags=allow-oom
-- Send back what runs under a worker, whatever became of its lease.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 worker   3 limit   4 jobs that stay, found by earlier calls   5 '1': kill
--       6 kills that fail a job   7 failure   8 detail   9 number of spared ids   then these ids,
--       then the ids that stay
-- Returns how many jobs were looked at, how many of them stay, then id and state of each that went
-- include: clock
-- include: send_back

local now, worker, limit, kept = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local kill, spared = ARGV[5] == '1', tonumber(ARGV[9])
local how = {
  reason = kill and REASON.lease_lost or REASON.handed_back, kill = kill,
  max_kills = tonumber(ARGV[6]), failure = ARGV[7], detail = ARGV[8], spare = {}, keep = {},
}
for at = 10, #ARGV do
  local ids = at < 10 + spared and how.spare or how.keep
  ids[ARGV[at]] = true
end
local moved = {}
local stay = send_back_all(worker, now, how, kept, limit, moved)
return { #moved / 2 + stay, stay, unpack(moved) }
