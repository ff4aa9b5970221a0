-- At most one token waits for a worker; who takes it looks into the queue himself.
local function wake()
  if redis.call('EXISTS', WAKE) == 0 then
    redis.call('RPUSH', WAKE, '1')
    redis.call('PEXPIRE', WAKE, 60000)
  end
end
