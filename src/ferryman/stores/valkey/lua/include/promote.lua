-- include: moves

-- Queue up to `limit` jobs whose time has come, in the order in which it came.
local function promote(now, limit)
  local ids = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    redis.call('ZREM', DUE, id)
    local job = load_live(id)
    if job then
      queue_job(job, now, REASON.due, '', false)
    end
  end
  if #ids > 0 then
    wake()
  end
  return #ids
end
