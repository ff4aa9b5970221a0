#!lua flags=allow-oom
-- Add to the figures of a queue.
--
-- KEYS  prefix of the queue
-- ARGV  for each step: its length (s), its beginning, how long it is kept (ms), the number of
--       values, and these: number of a measure, what to add
-- Returns how many steps

local at, steps = 1, 0
while at <= #ARGV do
  local key = FIGURES_ .. ARGV[at] .. ':' .. ARGV[at + 1]
  local last = at + 3 + 2 * tonumber(ARGV[at + 3])
  for value = at + 4, last, 2 do
    redis.call('HINCRBY', key, ARGV[value], ARGV[value + 1])
  end
  redis.call('PEXPIRE', key, ARGV[at + 2])
  at, steps = last + 1, steps + 1
end
return steps
