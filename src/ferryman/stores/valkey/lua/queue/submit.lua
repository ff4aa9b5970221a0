#!lua
-- Take jobs into a queue. Without `allow-oom`: at the memory limit the server refuses the whole
-- call before its first line, and nobody is left with half a job.
--
-- KEYS  prefix of the queue
-- ARGV  1 now, or ''   2 '1': the queue's name is announced, '2': while somebody follows the feed
--       then, for each job:
--       id, head, unique key, description .. arguments
--       head: priority, delay (ms), run at (ms; 0: none), expires in + 1 (ms; 0: never), held,
--             on conflict (0: refuse it and all behind it, 1: return, 2: refuse it alone),
--             length of the description
-- Returns {code} for a queue that was never announced, else for each job a code and an id (of the
--       holder of the unique key; '' otherwise); fewer than were given if one was refused with all
--       behind it
-- Codes unknown_queue, created, present, returned, refused
-- include: clock
-- include: specification
-- include: ready
-- include: telling

local now = clock(ARGV[1])
local CHUNK = 500
local ON_CONFLICT = { [0] = CODE.refused, [1] = CODE.returned, [2] = CODE.refused }

local function new_job(id, head, unique, body)
  local priority, delay, run_at, expires, held, on_conflict, size =
    struct.unpack('>i2I6I6I6BBI3', head)
  local due = math.max(now + delay, run_at)
  local initial = STATE.queued
  if held == 1 then
    initial = STATE.waiting
  elseif due > now then
    initial = STATE.scheduled
  end
  return {
    id = id, initial = initial, created = now, priority = priority, size = size, due = due,
    expires = expires > 0 and now + expires - 1 or 0, unique = unique, body = body,
    on_conflict = ON_CONFLICT[on_conflict], refused_with_all = on_conflict == 0,
  }
end

-- All arguments are read before the first write, for what a script wrote stays written.
local function read_jobs()
  local jobs = {}
  for at = 3, #ARGV, 4 do
    jobs[(at + 1) / 4] = new_job(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  end
  return jobs
end

-- Entries are collected, so that a batch is pushed in one call; the lists are then in its order.
local function place(job, ready)
  if job.initial == STATE.waiting then
    defer('ZADD', HELD, now, job.id)
  elseif job.initial == STATE.scheduled then
    defer('ZADD', DUE, job.due, job.id)
  else
    local entries = ready[job.priority]
    if not entries then
      entries = {}
      ready[job.priority] = entries
    end
    entries[#entries + 1] = entry_of(job.id, now % 65536)
  end
end

-- Which of some jobs are there already, in any state.
local function already_there(jobs)
  local there = {}
  for first = 1, #jobs, CHUNK do
    local ids, ended = {}, {}
    for at = first, math.min(first + CHUNK - 1, #jobs) do
      local id, index = jobs[at].id, at - first + 1
      ids[index], ended[index] = id, END_ .. id
    end
    local live = redis.call('HMGET', JOBS, unpack(ids))
    local any_ended = redis.call('EXISTS', unpack(ended)) > 0
    for index = 1, #ids do
      if live[index] or any_ended and redis.call('EXISTS', ended[index]) == 1 then
        there[ids[index]] = true
      end
    end
  end
  return there
end

local function take_in(job, there, ready)
  if there[job.id] then
    return CODE.present, ''
  end
  if job.unique ~= '' and redis.call('HSETNX', UNIQUE, job.unique, job.id) == 0 then
    return job.on_conflict, redis.call('HGET', UNIQUE, job.unique)
  end
  there[job.id] = true
  job.blob = write_specification(job, job.body)
  defer('HSET', JOBS, job.id, job.blob)
  if is_heard() then
    tell(job, #job.blob - #job.body + 1, event(KIND.state, BETWEEN, now, STATE.none, job.initial,
      REASON.submitted, 0, '', ''))
  end
  watch_expiry(job)
  place(job, ready)
  return CODE.created, ''
end

local function take_all(jobs)
  local there, reply, ready = already_there(jobs), {}, {}
  for index, job in ipairs(jobs) do
    local code, holder = take_in(job, there, ready)
    reply[2 * index - 1], reply[2 * index] = code, holder
    if code == CODE.refused and job.refused_with_all then
      break
    end
  end
  return reply, ready
end

local jobs = read_jobs()
if ARGV[2] ~= '0' then
  redis.call('HSET', META, 'known', '1')
  if ARGV[2] == '2' then -- so that whoever follows misses nothing of a queue that is new
    redis.call('SET', HEARD, redis.call('TIME')[1], 'NX', 'PX', 60000)
  end
elseif not redis.call('HGET', META, 'known') then
  return { CODE.unknown_queue }
end
local reply, ready = take_all(jobs)
flush()
for priority, entries in pairs(ready) do
  push_ready(priority, entries)
end
if next(ready) then
  wake()
end
return reply
