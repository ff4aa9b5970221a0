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
local spared = tonumber(ARGV[9])
local how = {
  kill = ARGV[5] == '1', max_kills = tonumber(ARGV[6]), failure = ARGV[7], detail = ARGV[8],
  spare = {}, keep = {},
}
for at = 10, #ARGV do
  local ids = at < 10 + spared and how.spare or how.keep
  ids[ARGV[at]] = true
end
local jobs, stay = held(worker, how.keep, kept, limit)
local moved = send_back_all(jobs, now, how)
forget_idle(worker)
return { #jobs + stay, stay, unpack(moved) }
